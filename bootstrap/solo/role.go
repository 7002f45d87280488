package solo

import (
	"context"

	"github.com/holdfast-fleet/holdfast/bootstrap/system"
	"github.com/holdfast-fleet/holdfast/peers"
)

// ChangeRole has the cluster let a host go whose role in the fleet is another than its
// node has, and takes its node apart: it joins anew then. Each step can be taken again.
// Where no other server lets it go, it stays as it is.
func ChangeRole(ctx context.Context, kind Kind, want Wanted) error {
	n := newNode(Config{Kind: kind, Wanted: want})
	rec, err := n.readRecord()
	switch {
	case err != nil:
		return err
	case rec.Left:
		return Reset(ctx, kind, n.Dir)
	case rec.Step == "", rec.Worker == n.Worker:
		return nil
	case !rec.made():
		return n.becomeAnother(ctx, rec)
	}
	err = n.Hosts().LeaveFor(ctx, n.Cluster.Version, func(m peers.Member) error { return n.Peers.Leave(ctx, m) })
	if err != nil {
		return err
	}
	n.log.Info("the cluster has let this host go; taking it apart, to join in its new role", "worker", n.Worker)
	rec.Left = true
	if err := n.writeRecord(rec); err != nil {
		return err
	}
	return Reset(ctx, kind, n.Dir)
}

// becomeAnother drops an attempt that was to have another role. A server that joins a
// cluster may be in its etcd already, and ends that first.
func (n *node) becomeAnother(ctx context.Context, rec record) error {
	if !rec.Worker && rec.Through != "" {
		return system.Refuse("the role of this host has changed while it was becoming a server", "set the role back until it is one")
	}
	return Reset(ctx, n.Kind, n.Dir)
}
