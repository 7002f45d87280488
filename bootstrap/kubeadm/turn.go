package kubeadm

import (
	"context"
	"errors"
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
// later, see makeRoom.
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
			if known, err := n.Peers.Cluster(ctx, m); err != nil || older(known.Version, n.Cluster.Version) {
				return errors.Join(err, site.Wait("%s does not run %s yet", m.Name, n.Cluster.Version))
			}
			return n.Peers.Away(ctx, m)
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
			err = n.cameBack(ctx, server, n.Host)
		}
	}
	if err != nil {
		return fmt.Errorf("tell the cluster that this host is there: %w", err)
	}
	rec.Away = false
	return n.writeRecord(*rec)
}

// moveAway moves the pods of this host, of the control plane, before its kubelet is
// upgraded. A worker's have been moved by who let it go.
func (n *node) moveAway(ctx context.Context) error {
	if n.Worker || len(n.others()) == 0 {
		return nil
	}
	server, err := n.localAPI()
	if err != nil {
		return err
	}
	defer server.Close()
	return n.makeRoom(ctx, server, n.Host)
}

// makeRoom moves the pods of a node, unless there is no other that could take them.
// Budgets for disruptions are heeded: where they hold pods back until time is up, the
// node is as it was, and the error says which.
func (n *node) makeRoom(ctx context.Context, server *kubeapi.Server, name string) error {
	nodes, err := server.Nodes(ctx)
	if err != nil {
		return err
	}
	elsewhere := slices.ContainsFunc(nodes, func(o kubeapi.Node) bool {
		ready, _ := o.Ready()
		return ready && o.Metadata.Name != name && !o.Spec.Unschedulable
	})
	if !elsewhere {
		return nil
	}
	if err := n.drain(ctx, name); err != nil {
		return errors.Join(fmt.Errorf("its pods did not move within %s: %w", drainTime, err), n.cameBack(ctx, server, name))
	}
	return nil
}

// cameBack notes that a host is not away any more, and lets pods come to it again.
func (n *node) cameBack(ctx context.Context, server *kubeapi.Server, name string) error {
	away, before, err := site.Away(ctx, server, name)
	if err != nil || !away {
		return err
	}
	if !before {
		if err := n.kubectl(ctx, "uncordon", name); err != nil {
			return err
		}
	}
	return site.Back(ctx, server, name)
}

// drain moves a node's pods. Where not all have moved in time, the error says what
// held them.
func (n *node) drain(ctx context.Context, name string) error {
	return n.kubectl(ctx, "drain", name, "--ignore-daemonsets", "--delete-emptydir-data", "--force", "--timeout="+drainTime.String())
}

func (n *node) kubectl(ctx context.Context, args ...string) error {
	out, err := exec.CommandContext(ctx, filepath.Join(n.Bin, "kubectl"), append([]string{"--kubeconfig=" + Kubeconfig}, args...)...).CombinedOutput() //nolint:gosec // our own program
	if err != nil {
		return fmt.Errorf("kubectl %s: %w: %s", args[0], err, system.Reason(string(out)))
	}
	return nil
}
