package site

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/holdfast-fleet/holdfast/fleet"
	"github.com/holdfast-fleet/holdfast/peers"
)

// stuckTime is how long a worker is left alone whose pods did not move.
const stuckTime = 5 * time.Minute

// Workers lets those of a site be away from its cluster, for who asks is a worker, and may
// not do it itself. Each server of the control plane has its own.
type Workers struct {
	mu    sync.Mutex
	stuck map[string]time.Time // whose pods did not move
}

// Leave has the cluster of a version do without a worker, if it is its turn: its pods move.
func (w *Workers) Leave(ctx context.Context, admin Admin, who peers.Member, version string, limit int) error {
	if who.Role != fleet.Worker {
		return errNoWorker
	}
	w.mu.Lock()
	since, stuck := w.stuck[who.Name]
	w.mu.Unlock()
	if stuck && time.Since(since) < stuckTime {
		return Wait("pods of %s did not move, which is tried again %s later", who.Name, stuckTime)
	}
	if err := Enter(ctx, admin.Server, who.Name, version, max(1, limit)); err != nil {
		return err
	}
	err := admin.MakeRoom(ctx, who.Name)
	if err != nil {
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.stuck == nil {
			w.stuck = map[string]time.Time{}
		}
		w.stuck[who.Name] = time.Now()
	}
	return err
}

// Back lets pods come to a worker again.
func (w *Workers) Back(ctx context.Context, admin Admin, who peers.Member) error {
	if who.Role != fleet.Worker {
		return errNoWorker
	}
	return admin.Back(ctx, who.Name)
}

var errNoWorker = errors.New("hosts of the control plane do this themselves")
