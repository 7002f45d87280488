package solo

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/holdfast-fleet/holdfast/bootstrap/kubeapi"
	"github.com/holdfast-fleet/holdfast/bootstrap/site"
	"github.com/holdfast-fleet/holdfast/peers"
)

// quorumTime is how long members of etcd may take to agree on who leads them.
const quorumTime = 20 * time.Second

// leave has the site do without this server while its program starts again, once that
// is its turn and the rest of the control plane is whole. Workers do without the only one
// while it goes to another version. Where no server answers there is no cluster that could
// do without it, or with it as it is.
func (n *node) leave(ctx context.Context, rec *record) error {
	alone := len(n.Hosts().Servers()) == 0
	if len(n.Hosts().Others()) == 0 || rec.Cluster == n.Cluster && (alone || n.upToDate()) {
		return nil
	}
	if err := rec.Stuck.Wait(time.Now()); err != nil && !n.Anew {
		return err
	}
	server := n.someServer(ctx)
	if server == nil {
		return nil
	}
	defer server.Close()
	if err := n.whole(ctx, server); err != nil {
		return err
	}
	if err := n.noteAway(rec); err != nil {
		return err
	}
	return site.Enter(ctx, server, n.Host, n.Cluster.Version, 1)
}

// someServer is one whose API is ready, this one first, or nil.
func (n *node) someServer(ctx context.Context) *kubeapi.Server {
	ctx, cancel := context.WithTimeout(ctx, quorumTime)
	defer cancel()
	hosts := []string{"127.0.0.1"}
	for _, m := range n.Hosts().Servers() {
		hosts = append(hosts, m.Network.Address)
	}
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		for _, host := range hosts {
			server, err := kubeapi.OpenAt(n.Kubeconfig, host, n.Cluster.APIPort)
			if err != nil { // the program writes it when it starts
				return nil
			}
			if server.Ready(ctx) == nil {
				return server
			}
			server.Close()
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// whole tells whether the other servers of the cluster answer as such.
func (n *node) whole(ctx context.Context, server *kubeapi.Server) error {
	nodes, err := server.Nodes(ctx)
	if err != nil {
		return err
	}
	answers := n.Hosts().Ask(ctx)
	for _, m := range n.Hosts().Servers() {
		isNode := slices.ContainsFunc(nodes, func(o kubeapi.Node) bool { return o.Metadata.Name == m.Name })
		if isNode && !answers[m.Name].Gives {
			return site.Wait("%s of the control plane is not whole just now", m.Name)
		}
	}
	return nil
}

// follow has the cluster do without this worker while it goes to the version that all
// servers run. The servers wait for who is away, so that is not before.
func (n *node) follow(ctx context.Context, rec *record) error {
	if _, err := n.mayRun(ctx, true); err != nil {
		_ = n.back(ctx, rec) // a server that is not there is told at the next try
		return err
	}
	if err := n.noteAway(rec); err != nil {
		return err
	}
	err := n.Hosts().Tell(ctx, func(ctx context.Context, m peers.Member) error { return n.Peers.Away(ctx, m, n.Anew) })
	if err != nil {
		return site.Wait("upgrade from %s to %s waits: %w", rec.Cluster.Version, n.Cluster.Version, err)
	}
	return nil
}

// noteAway notes that the others may know this host as away, before they are told.
func (n *node) noteAway(rec *record) error {
	if rec.Away {
		return nil
	}
	rec.Away = true
	return n.writeRecord(*rec)
}

// moveAway moves the pods of this server.
func (n *node) moveAway(ctx context.Context, rec *record) error {
	if !rec.Away {
		return nil
	}
	server, err := kubeapi.Open(n.Kubeconfig, n.Cluster.APIPort)
	if err != nil {
		return err
	}
	defer server.Close()
	err = site.Admin{Server: server, Kubectl: n.kubectl(rec.Program)}.MakeRoom(ctx, n.Host)
	if err != nil && ctx.Err() == nil {
		rec.Stuck = &site.Stuck{At: time.Now(), Why: err.Error()}
		return errors.Join(err, n.writeRecord(*rec))
	}
	return err
}

// back tells the others that this host is there again, and lets pods come to it.
func (n *node) back(ctx context.Context, rec *record) error {
	if !rec.Away {
		return nil
	}
	if err := n.tellBack(ctx); err != nil {
		return fmt.Errorf("tell the cluster that this host is there: %w", err)
	}
	rec.Away = false
	return n.writeRecord(*rec)
}

func (n *node) tellBack(ctx context.Context) error {
	if n.Worker {
		return n.Hosts().Tell(ctx, n.Peers.Back)
	}
	server, err := kubeapi.Open(n.Kubeconfig, n.Cluster.APIPort)
	if err != nil {
		return err
	}
	defer server.Close()
	return site.Admin{Server: server, Kubectl: n.kubectl(n.Program)}.Back(ctx, n.Host)
}
