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
	case !rec.made() && !rec.Worker && rec.Through != "": // it may be in etcd already
		return system.Refuse("the role of this host has changed while it was becoming a server", "set the role back until it is one")
	case !rec.made():
		return Reset(ctx, kind, n.Dir)
	}
	err = n.Hosts().LeaveFor(ctx, n.Cluster.Version, func(m peers.Member) error { return n.Peers.Leave(ctx, m, "") })
	if err != nil {
		return err
	}
	n.log.Info("the cluster has let this host go; taking it apart, to join in its new role", "worker", n.Worker)
	return n.depart(ctx, rec)
}

// depart takes a node apart that its cluster has let go. That it has is written down
// first: once the credentials are gone, nobody can be asked again.
func (n *node) depart(ctx context.Context, rec record) error {
	rec.Left = true
	if err := n.writeRecord(rec); err != nil {
		return err
	}
	return Reset(ctx, n.Kind, n.Dir)
}
