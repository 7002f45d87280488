package kubeadm

import (
	"context"
	"errors"
	"time"

	"github.com/holdfast-fleet/holdfast/bootstrap/kubeapi"
	"github.com/holdfast-fleet/holdfast/bootstrap/site"
	"github.com/holdfast-fleet/holdfast/fleet"
	"github.com/holdfast-fleet/holdfast/peers"
)

// stuckTime is how long a worker is left alone whose pods did not move.
const stuckTime = 5 * time.Minute

// Away has the cluster do without a worker, if it is its turn: its pods move.
func (l *Local) Away(ctx context.Context, who peers.Member) error {
	return l.forWorker(ctx, who, func(n *node, rec record, server *kubeapi.Server) error {
		if rec.Upgrade != nil {
			return errors.New("this host of the control plane is being upgraded just now")
		}
		l.mu.Lock()
		since, stuck := l.stuck[who.Name]
		l.mu.Unlock()
		if stuck && time.Since(since) < stuckTime {
			return site.Wait("pods of %s did not move, which is tried again %s later", who.Name, stuckTime)
		}
		if err := site.Enter(ctx, server, who.Name, rec.Cluster.Version, max(1, rec.MaxUnavailable)); err != nil {
			return err
		}
		err := n.makeRoom(ctx, server, who.Name)
		if err != nil {
			l.mu.Lock()
			defer l.mu.Unlock()
			if l.stuck == nil {
				l.stuck = map[string]time.Time{}
			}
			l.stuck[who.Name] = time.Now()
		}
		return err
	})
}

// Back lets pods come to a worker again.
func (l *Local) Back(ctx context.Context, who peers.Member) error {
	return l.forWorker(ctx, who, func(n *node, _ record, server *kubeapi.Server) error {
		return n.cameBack(ctx, server, who.Name)
	})
}

// forWorker does something for a worker: who is of the control plane does it itself.
func (l *Local) forWorker(ctx context.Context, who peers.Member, do func(*node, record, *kubeapi.Server) error) error {
	return l.asAdmin(ctx, func(n *node, rec record, server *kubeapi.Server) error {
		if who.Role != fleet.Worker {
			return errors.New("hosts of the control plane do this themselves")
		}
		return do(n, rec, server)
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
