package kubeadm

import (
	"context"
	"errors"

	"github.com/holdfast-fleet/holdfast/bootstrap/kubeapi"
	"github.com/holdfast-fleet/holdfast/bootstrap/site"
	"github.com/holdfast-fleet/holdfast/peers"
)

// ChangeRole has the cluster let a host go whose role in the fleet is another than its
// node has, and takes its node apart: it joins anew then. Each step can be taken again.
// Where no other host of the control plane lets it go, it stays as it is. One that was let
// go, for this or because it was removed once, and was cut off since, is taken apart.
func ChangeRole(ctx context.Context, cfg Config) error {
	_, rec, err := made(cfg.Dir)
	if err == nil && rec.Left {
		return Reset(ctx, cfg.Dir)
	}
	if err != nil || rec.Step != stepReady || rec.Worker == cfg.Worker {
		return err
	}
	n := newNode(cfg)
	err = n.site().LeaveFor(ctx, n.Cluster.Version, func(m peers.Member) error { return n.Peers.Leave(ctx, m, "") })
	if err != nil {
		return err
	}
	n.log.Info("the cluster has let this host go; taking it apart, to join in its new role", "worker", n.Worker)
	return n.depart(ctx, rec)
}

// LetGo takes the node of a member out of the cluster whose role has changed, or which goes
// back to a version: its pods move, then etcd goes on without it, then it is gone. Where one
// of these cannot be done, it goes on as it was; but budgets do not keep a cluster from
// going back, which ends all its pods in the end.
func (l *Local) LetGo(ctx context.Context, who peers.Member, back string) error {
	return l.asAdmin(ctx, func(n *node, rec record, server *kubeapi.Server) error {
		nodes, err := server.Nodes(ctx)
		if err != nil {
			return err
		}
		goesBack := rec.goesBack(back)
		i, err := site.MayBeLetGo(nodes, who, goesBack)
		if err != nil {
			return err
		}
		kubectl := site.Kubectl(n.kubectl)
		if i >= 0 {
			if err := kubectl.Drain(ctx, nodes[i]); err != nil && !goesBack {
				return errors.Join(err, kubectl.Uncordon(ctx, who.Name))
			}
		}
		store, err := localEtcd()
		if err != nil {
			return err
		}
		defer store.CloseIdleConnections()
		if err := n.takeOut(ctx, server, store, who.Name); err != nil {
			return errors.Join(err, kubectl.Uncordon(ctx, who.Name))
		}
		return nil
	})
}
