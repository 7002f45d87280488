package kubeadm

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"time"

	"github.com/holdfast-fleet/holdfast/bootstrap/system"
	"github.com/holdfast-fleet/holdfast/fleet"
	"github.com/holdfast-fleet/holdfast/peers"
)

// others are the site's hosts but this one, in declared order.
func (n *node) others() []peers.Member {
	var list []peers.Member
	for _, m := range n.Members {
		if m.Name != n.Host {
			list = append(list, m)
		}
	}
	return list
}

// begin makes the host a node of its site's cluster: of the one that there is, or
// of a new one. What a cut-off attempt left is removed first, for nothing can have
// been put into it.
func (n *node) begin(ctx context.Context, rec *record) error {
	if n.isNoLongerFirst(*rec) {
		if err := n.takeApart(ctx, *rec); err != nil {
			return err
		}
		if err := os.Remove(n.recordFile()); err != nil {
			return err
		}
		*rec = record{}
	}
	if rec.Step == "" && !n.mayInitialise() { // it may have to wait for the others: its images come meanwhile
		if err := n.importImages(ctx); err != nil {
			return err
		}
	}
	through, err := n.findOrigin(ctx)
	if err == nil && through != nil {
		err = n.mayJoin(ctx, *through)
	}
	if err != nil {
		return err
	}
	if rec.Step != "" {
		if rec.Step == stepJoin && through != nil && !rec.Worker {
			if err := quit(ctx, n.Host, net.JoinHostPort(through.Network.Address, etcdPort), pkiDir); err != nil {
				return err
			}
		}
		if err := n.takeApart(ctx, *rec); err != nil {
			return err
		}
	}
	*rec = record{Step: stepInit, Worker: n.Worker, Cluster: n.Cluster, Bin: n.Bin, Pause: n.Pause, Address: n.address}
	if through != nil {
		rec.Step = stepJoin
	}
	if err := n.writeRecord(*rec); err != nil {
		return err
	}
	if err := n.kubeletUnit(ctx); err != nil {
		return err
	}
	if err := os.RemoveAll(networkFile); err != nil { // of an attempt that was cut off
		return err
	}
	switch {
	case n.From != "":
		err = n.rebuild(ctx, n.address)
	case through != nil:
		err = n.join(ctx, n.address, *through)
	default:
		err = n.initialise(ctx, n.address)
	}
	if err != nil {
		return err
	}
	rec.Step = stepReady
	return n.writeRecord(*rec)
}

// isNoLongerFirst tells whether the host began a cluster that is another's to make, since a
// commit says so. As long as it knows of that attempt the other would wait for it.
func (n *node) isNoLongerFirst(rec record) bool {
	return rec.Step == stepInit && n.From == "" && len(n.others()) > 0 && n.Host != firstHost(n.Members)
}

// firstHost is the member that makes the site's cluster.
func firstHost(members []peers.Member) string {
	for _, m := range members {
		if m.Role == fleet.ControlPlane {
			return m.Name
		}
	}
	return ""
}

// takeApart removes what a cut-off attempt left.
func (n *node) takeApart(ctx context.Context, rec record) error {
	n.log.Info("an attempt was cut off; starting again", "step", string(rec.Step))
	if err := n.kubeadm(ctx, "reset", "reset", "--force", "--cri-socket="+criSocket); err != nil {
		return err
	}
	return n.dropUnkept(ctx)
}

// mayInitialise tells whether it falls to the host to make the cluster out of nothing,
// should there be none.
func (n *node) mayInitialise() bool { return n.From == "" && n.Host == firstHost(n.Members) }

// initialise makes a cluster. What pods need only once it is there is imported meanwhile.
func (n *node) initialise(ctx context.Context, address string) error {
	config, err := n.writeConfig(address)
	if err != nil {
		return err
	}
	if n.first = firstNetwork(n.Cluster.PodCIDR); n.first != "" {
		if _, err := system.Write(map[string]string{networkFile: networkConfig(n.first)}); err != nil {
			return err
		}
	}
	if err := n.giveFirst(ctx); err != nil {
		return err
	}
	var beside sync.WaitGroup
	var imported error
	beside.Go(func() { imported = n.giveOthers(ctx) })
	n.log.Info("kubeadm init", "version", n.Cluster.Version)
	err = n.kubeadm(ctx, "init", "init", "--config="+config)
	beside.Wait()
	return errors.Join(err, imported)
}

// mayJoin refuses a cluster of another version: it is upgraded first, host by host.
func (n *node) mayJoin(ctx context.Context, through peers.Member) error {
	known, err := n.Peers.Cluster(ctx, through)
	if err != nil || known.Version == n.Cluster.Version {
		return err
	}
	if !known.Gives {
		return fmt.Errorf("%s %w", through.Name, errNotReady)
	}
	runs := known.Version
	if runs == "" {
		runs = "another version just now"
	}
	return system.Refuse(fmt.Sprintf("%s runs %s, and this host is to join with %s", through.Name, runs, n.Cluster.Version),
		"it joins by itself once the control plane is upgraded; look there: holdfast status")
}

// findCluster returns the member to join through, or nil where this host makes the
// cluster. It asks for a while, for the members start when they like.
func (n *node) findCluster(ctx context.Context) (*peers.Member, error) {
	if len(n.others()) == 0 {
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	said := ""
	for {
		through, err := choose(n.Host, n.Members, n.askAll(ctx))
		if err == nil {
			return through, nil
		}
		if reason := err.Error(); reason != said {
			n.log.Info("not part of a cluster yet", "why", reason)
			said = reason
		}
		select {
		case <-ctx.Done():
			return nil, err
		case <-tick.C:
		}
	}
}

// answer is what a member said, or why it did not.
type answer struct {
	peers.Cluster
	err error
}

// askAll asks all other members at once what they know of a cluster.
func (n *node) askAll(ctx context.Context) map[string]answer {
	answers := map[string]answer{}
	if n.Peers == nil {
		return answers
	}
	var mu sync.Mutex
	var all sync.WaitGroup
	for _, m := range n.others() {
		all.Go(func() {
			got, err := n.Peers.Cluster(ctx, m)
			mu.Lock()
			defer mu.Unlock()
			answers[m.Name] = answer{got, err}
		})
	}
	all.Wait()
	return answers
}

// choose returns the member to join through, or nil where the host makes the
// cluster: it is the first of the control plane, and each other host of the control
// plane has said that it knows of none. One that does not answer may have one.
func choose(host string, members []peers.Member, answers map[string]answer) (*peers.Member, error) {
	first := firstHost(members)
	for i, m := range members {
		if m.Role != fleet.ControlPlane {
			continue
		}
		if a, ok := answers[m.Name]; ok && a.err == nil && a.Gives {
			return &members[i], nil
		}
	}
	for _, m := range members {
		if a, ok := answers[m.Name]; ok && a.err == nil && a.Known {
			return nil, system.Refuse(fmt.Sprintf("%s is part of a cluster, or was, but none of the control plane answers as such", m.Name),
				"wait until it does. If its data is lost, restore it, or take the cluster apart: holdfast reset on each host that is left")
		}
	}
	if host != first {
		return nil, system.Refuse(fmt.Sprintf("%s, the first of the control plane, has made no cluster yet", first)+why(answers[first].err), "turn it on, and look there: holdfast status")
	}
	for _, m := range members {
		a, ok := answers[m.Name]
		if m.Name != host && m.Role == fleet.ControlPlane && (!ok || a.err != nil) {
			return nil, system.Refuse(fmt.Sprintf("%s may know of a cluster, and does not answer", m.Name)+why(a.err),
				"turn it on, and see that it runs the fleet's newest revision; one that will not come back is taken out with state: removed")
		}
	}
	return nil, nil
}

func why(err error) string {
	if err == nil {
		return ""
	}
	return ": " + errors.Unwrap(fmt.Errorf("%w", err)).Error()
}
