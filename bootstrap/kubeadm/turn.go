package kubeadm

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"

	"github.com/holdfast-fleet/holdfast/bootstrap/kubeapi"
	"github.com/holdfast-fleet/holdfast/bootstrap/site"
	"github.com/holdfast-fleet/holdfast/bootstrap/system"
	"github.com/holdfast-fleet/holdfast/fleet"
	"github.com/holdfast-fleet/holdfast/peers"
)

// whole tells whether the control plane can do without this host for a while: each
// member of etcd is healthy, and each API server answers.
func (n *node) whole(ctx context.Context) error {
	store, err := localEtcd()
	if err != nil {
		return err
	}
	defer store.CloseIdleConnections()
	if err := store.healthy(ctx); err != nil {
		return site.Wait("etcd is not whole: %w", err)
	}
	in, err := store.members(ctx)
	if err != nil {
		return err
	}
	for _, m := range servers(n.others(), in) {
		server, err := n.serverOf(m)
		if err != nil {
			return err
		}
		err = server.Ready(ctx)
		server.Close()
		if err != nil {
			return site.Wait("the API server of %s does not answer: %w", m.Name, err)
		}
	}
	return nil
}

// servers are the hosts that the API is served by: one of the fleet's control plane that has
// not joined yet waits for the upgrade, not the other way round.
func servers(hosts []peers.Member, in []member) []peers.Member {
	return slices.DeleteFunc(hosts, func(m peers.Member) bool {
		return m.Role != fleet.ControlPlane || !slices.ContainsFunc(in, func(e member) bool { return e.Name == m.Name })
	})
}

// leave has the cluster do without this host for an upgrade, once it is its turn. A host
// of the control plane first makes sure that the rest of it is whole; its pods move
// later, see moveAway.
func (n *node) leave(ctx context.Context, rec *record) error {
	if len(n.others()) == 0 {
		return nil
	}
	rec.Away = true
	if err := n.writeRecord(*rec); err != nil {
		return err
	}
	if n.Worker {
		return n.site().Tell(ctx, func(ctx context.Context, m peers.Member) error {
			known, err := n.Peers.Cluster(ctx, m)
			if err != nil {
				return err
			}
			if older(known.Version, n.Cluster.Version) { // the control plane goes first, and waits for who is away
				_ = n.Peers.Back(ctx, m) // or at the next try
				return site.Wait("%s does not run %s yet", m.Name, n.Cluster.Version)
			}
			return n.Peers.Away(ctx, m, n.Anew)
		})
	}
	server, err := n.localAPI()
	if err != nil {
		return err
	}
	defer server.Close()
	if err := n.whole(ctx); err != nil {
		return err
	}
	return site.Enter(ctx, server, n.Host, n.Cluster.Version, 1)
}

// back tells the cluster that this host is there again.
func (n *node) back(ctx context.Context, rec *record) error {
	if !rec.Away {
		return nil
	}
	var err error
	if n.Worker {
		err = n.site().Tell(ctx, n.Peers.Back)
	} else {
		var server *kubeapi.Server
		if server, err = n.localAPI(); err == nil {
			defer server.Close()
			err = site.Admin{Server: server, Kubectl: n.kubectl}.Back(ctx, n.Host)
		}
	}
	if err != nil {
		return fmt.Errorf("tell the cluster that this host is there: %w", err)
	}
	rec.Away = false
	return n.writeRecord(*rec)
}

// moveAway moves the pods of this host, of the control plane, before its kubelet is
// upgraded. A worker's have been moved by who let it go. Where they do not move, the host
// is not away any more, and the error says which hold it up.
func (n *node) moveAway(ctx context.Context) error {
	if n.Worker || len(n.others()) == 0 {
		return nil
	}
	server, err := n.localAPI()
	if err != nil {
		return err
	}
	defer server.Close()
	return site.Admin{Server: server, Kubectl: n.kubectl}.MakeRoom(ctx, n.Host)
}

func (n *node) kubectl(ctx context.Context, args ...string) error {
	out, err := exec.CommandContext(ctx, filepath.Join(n.Bin, "kubectl"), append([]string{"--kubeconfig=" + Kubeconfig}, args...)...).CombinedOutput() //nolint:gosec // our own program
	if err != nil {
		return fmt.Errorf("kubectl %s: %w: %s", args[0], err, system.Reason(string(out)))
	}
	return nil
}
