package kubeadm

import (
	"context"
	"errors"
	"fmt"

	"github.com/holdfast-fleet/holdfast/bootstrap/kubeapi"
	"github.com/holdfast-fleet/holdfast/bootstrap/system"
	"github.com/holdfast-fleet/holdfast/fleet"
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
	err = n.tellControlPlane(ctx, func(ctx context.Context, m peers.Member) error {
		if err := n.mayJoin(ctx, m); err != nil { // it could not come back
			return err
		}
		return n.Peers.Leave(ctx, m)
	})
	if err != nil {
		return errors.Join(system.Refuse("the role of this host has changed, and it stays what it is until another host of the control plane lets it go",
			"see that another one is in the control plane already, and answers; or set the role back"), err)
	}
	n.log.Info("the cluster has let this host go; taking it apart, to join in its new role", "worker", n.Worker)
	return n.depart(ctx, rec)
}

// LetGo takes the node of a member whose role has changed out of the cluster: its pods
// move, then etcd goes on without it, then it is gone. Where one of these cannot be
// done, it goes on as it was.
func (l *Local) LetGo(ctx context.Context, who peers.Member) error {
	return l.asAdmin(ctx, func(n *node, _ record, server *kubeapi.Server) error {
		ready, err := mayBeLetGo(ctx, server, who)
		if err != nil {
			return err
		}
		if ready { // who does not answer cannot move its pods
			if err := n.drain(ctx, who.Name); err != nil {
				return errors.Join(fmt.Errorf("its pods did not move within %s: %w", drainTime, err), n.kubectl(ctx, "uncordon", who.Name))
			}
		}
		store, err := localEtcd()
		if err != nil {
			return err
		}
		defer store.CloseIdleConnections()
		if err := n.takeOut(ctx, server, store, who.Name); err != nil {
			return errors.Join(err, n.kubectl(ctx, "uncordon", who.Name))
		}
		return nil
	})
}

// mayBeLetGo refuses a member whose node has the role that the fleet says, and tells
// whether the node is Ready. One whose node is gone already asks once more.
func mayBeLetGo(ctx context.Context, server *kubeapi.Server, who peers.Member) (ready bool, err error) {
	var found kubeapi.Node
	if err := server.Get(ctx, "/api/v1/nodes/"+who.Name, &found); err != nil {
		if kubeapi.NotFound(err) {
			return false, nil
		}
		return false, err
	}
	if found.ControlPlane() == (who.Role == fleet.ControlPlane) {
		return false, fmt.Errorf("the role of %s has not changed, as far as this host knows", who.Name)
	}
	ready, _ = found.Ready()
	return ready, nil
}
