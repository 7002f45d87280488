package kubeadm

import (
	"context"
	"errors"

	"github.com/holdfast-fleet/holdfast/bootstrap/kubeapi"
	"github.com/holdfast-fleet/holdfast/bootstrap/site"
	"github.com/holdfast-fleet/holdfast/peers"
)

// Away has the cluster do without a worker, if it is its turn: its pods move.
func (l *Local) Away(ctx context.Context, who peers.Member, anew bool) error {
	return l.asAdmin(ctx, func(n *node, rec record, server *kubeapi.Server) error {
		if rec.Upgrade != nil {
			return errors.New("this host of the control plane is being upgraded just now")
		}
		return l.workers.Leave(ctx, site.Admin{Server: server, Kubectl: n.kubectl}, who, site.Leaving{Version: rec.Cluster.Version, Limit: rec.MaxUnavailable, Anew: anew})
	})
}

// Back lets pods come to a worker again.
func (l *Local) Back(ctx context.Context, who peers.Member) error {
	return l.asAdmin(ctx, func(n *node, _ record, server *kubeapi.Server) error {
		return l.workers.Back(ctx, site.Admin{Server: server, Kubectl: n.kubectl}, who)
	})
}

// asAdmin does something for another host, on one of the control plane.
func (l *Local) asAdmin(ctx context.Context, do func(*node, record, *kubeapi.Server) error) error {
	n, rec, err := made(l.Dir)
	if err != nil {
		return err
	}
	if n == nil || rec.Step != stepReady || rec.Worker || n.healthy(ctx) != nil {
		return site.ErrNotReady
	}
	server, err := n.localAPI()
	if err != nil {
		return err
	}
	defer server.Close()
	return do(n, rec, server)
}
