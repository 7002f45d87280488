package kubeadm

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/holdfast-fleet/holdfast/bootstrap/site"
	"github.com/holdfast-fleet/holdfast/bootstrap/system"
	"github.com/holdfast-fleet/holdfast/peers"
)

// site is that of this host.
func (n *node) site() site.Hosts { return site.Hosts{Host: n.Host, Members: n.Members, Peers: n.Peers} }

// others are the site's hosts but this one, in declared order.
func (n *node) others() []peers.Member { return n.site().Others() }

// begin makes the host a node. Meanwhile containerd starts and images are imported, also while
// the host waits for others: its kubelet starts once those are there that kubeadm's pods run, and
// one that joins has a network for pods once all are.
func (n *node) begin(ctx context.Context, rec *record) error {
	var beside sync.WaitGroup
	defer beside.Wait()
	if n.Worker {
		beside.Go(func() { _, _ = n.program() }) // relayRuns says what was wrong
	}
	n.started = sync.OnceValue(func() error {
		if err := n.containerdRuns(ctx); err != nil {
			return fmt.Errorf("start containerd: %w", err)
		}
		return nil
	})
	first := func(ctx context.Context) error {
		if err := n.started(); err != nil {
			return err
		}
		return n.importFirst(ctx)
	}
	if n.From != "" { // its data is read by etcd's own image
		if err := first(ctx); err != nil {
			return err
		}
	}
	letStart, err := holdKubelet()
	if err != nil {
		return err
	}
	defer letStart()
	images := func(ctx context.Context) error {
		if err := first(ctx); err != nil {
			return err
		}
		letStart()
		return n.importImages(ctx)
	}
	return meanwhile(ctx, images, func(ctx context.Context) error {
		through, err := n.mayTakePart(ctx, rec)
		if err != nil {
			return err
		}
		var linking sync.WaitGroup
		done := make(chan struct{})
		linking.Go(func() { n.linkEarly(ctx, done) })
		err = n.takePart(ctx, rec, through)
		close(done)
		linking.Wait()
		return err
	})
}

// linkEarly makes the ways to and from pods as soon as the network of this node's is known, unless
// that takes longer than all else: who needs them makes them then.
func (n *node) linkEarly(ctx context.Context, enough <-chan struct{}) {
	if n.first != "" {
		_ = n.link(ctx, n.first, nil)
	}
	_ = repeat(ctx, enough, func(ctx context.Context) error {
		if _, err := n.credentials(); err != nil {
			return err // it is no node yet
		}
		_, err := n.linked(ctx)
		return err
	})
}

// meanwhile does what needs something to be prepared in time, and is cut off where that
// fails. What is prepared counts, too, where the other has to be done again.
func meanwhile(ctx context.Context, prepare, do func(context.Context) error) error {
	both, cancel := context.WithCancel(ctx)
	defer cancel()
	prepared := make(chan error, 1)
	go func() {
		err := prepare(both)
		if err != nil {
			cancel()
		}
		prepared <- err
	}()
	err := do(both)
	if failed := <-prepared; failed != nil {
		return errors.Join(failed, ctx.Err()) // a newer revision may have come
	}
	return err
}

// Where the first start of a kubelet is held: both are gone with the next boot.
const (
	kubeletLock = "/run/holdfast/kubelet.lock"
	kubeletHold = system.RunUnitDir + "kubelet.service.d/holdfast.conf"
)

// holdKubelet has whoever starts the kubelet wait, until it is let start or the agent is gone.
func holdKubelet() (letStart func(), err error) {
	if err := os.MkdirAll(filepath.Dir(kubeletLock), 0o755); err != nil {
		return nil, err
	}
	lock, err := os.OpenFile(kubeletLock, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX); err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	return func() { lock.Close() }, nil
}

// heldBy is what its unit has it wait by: where there is no flock(1), pods ask again for their images.
func heldBy(lock string) string {
	return `# Written by Holdfast.
[Service]
TimeoutStartSec=infinity
ExecStartPre=-flock --shared ` + lock + ` true
`
}

// mayTakePart returns once the host may become a node of its site's cluster, of the one that there
// is, through a member, or of a new one, and has noted that it begins. What a cut-off attempt left
// is removed first, for nothing can have been put into it.
func (n *node) mayTakePart(ctx context.Context, rec *record) (through *peers.Member, err error) {
	if n.isNoLongerFirst(*rec) {
		if err := n.takeApart(ctx, *rec); err != nil {
			return nil, err
		}
		if err := os.Remove(n.recordFile()); err != nil {
			return nil, err
		}
		*rec = record{}
	}
	if n.From == "" {
		through, err = n.site().Origin(ctx, n.log)
	}
	if err == nil && through != nil {
		err = n.site().MayJoin(ctx, *through, n.Cluster.Version)
	}
	if err != nil {
		return nil, err
	}
	if rec.Step != "" {
		if rec.Step == stepJoin && through != nil && !rec.Worker {
			if err := quit(ctx, n.Host, net.JoinHostPort(through.Network.Address, etcdPort), pkiDir); err != nil {
				return nil, err
			}
		}
		if err := n.takeApart(ctx, *rec); err != nil {
			return nil, err
		}
	}
	*rec = record{Step: stepInit, Worker: n.Worker, Cluster: n.Cluster, Bin: n.Bin, Pause: n.Pause, Address: n.address}
	if through != nil {
		rec.Step = stepJoin
	}
	if err := n.writeRecord(*rec); err != nil {
		return nil, err
	}
	if err := n.kubeletUnit(ctx); err != nil {
		return nil, err
	}
	if err := os.RemoveAll(networkFile); err != nil { // of an attempt that was cut off
		return nil, err
	}
	if through != nil || n.From != "" {
		return through, nil
	}
	if n.first = firstNetwork(n.Cluster.PodCIDR); n.first != "" {
		_, err = system.Write(map[string]string{networkFile: networkConfig(n.first)})
	}
	return nil, err
}

// takePart makes it that node, through a member or, where there is none, of a new cluster.
func (n *node) takePart(ctx context.Context, rec *record, through *peers.Member) error {
	var err error
	switch {
	case n.From != "":
		err = n.rebuild(ctx, n.address)
	case through != nil:
		err = n.join(ctx, n.address, *through)
	default:
		err = n.initialise(ctx, n.address)
	}
	if err == nil { // before it counts as a node
		err = system.Sync("/etc", "/var/lib")
	}
	if err != nil {
		return err
	}
	rec.Step = stepReady
	if err := n.writeRecord(*rec); err != nil {
		return err
	}
	return n.survives(ctx)
}

// isNoLongerFirst tells whether the host began a cluster that is another's to make, since a
// commit says so. As long as it knows of that attempt the other would wait for it.
func (n *node) isNoLongerFirst(rec record) bool {
	return rec.Step == stepInit && n.From == "" && len(n.others()) > 0 && n.Host != n.site().First()
}

// takeApart removes what a cut-off attempt left.
func (n *node) takeApart(ctx context.Context, rec record) error {
	if err := n.started(); err != nil {
		return err
	}
	n.log.Info("an attempt was cut off; starting again", "step", string(rec.Step))
	for _, task := range []string{"init", "join"} { // an agent that died may have left it at work
		system.End(ctx, unitOf(task))
	}
	return n.kubeadm(ctx, "reset", "reset", "--force", "--cri-socket="+criSocket)
}

// initialise makes a cluster.
func (n *node) initialise(ctx context.Context, address string) error {
	config, err := n.writeConfig(address)
	if err != nil {
		return err
	}
	if err := n.started(); err != nil {
		return err
	}
	n.log.Info("kubeadm init", "version", n.Cluster.Version)
	return n.run(ctx, "init", "init", "--config="+config)
}
