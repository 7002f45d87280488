package site

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/holdfast-fleet/holdfast/fleet"
	"github.com/holdfast-fleet/holdfast/peers"
)

// stuckTime is how long a host is left alone whose pods did not move.
const stuckTime = 5 * time.Minute

// Stuck says when a host's pods did not move, and what held them.
type Stuck struct {
	At  time.Time `json:"at"`
	Why string    `json:"why"`
}

// Wait says so until they are to move once more: each try costs those that can.
func (s *Stuck) Wait(now time.Time) error {
	if s == nil || now.Before(s.At) || now.Sub(s.At) >= stuckTime {
		return nil
	}
	return Wait("%s; tried again at %s", s.Why, s.At.Add(stuckTime).UTC().Format(time.RFC3339))
}

// Workers lets those of a site be away from its cluster, for who asks is a worker, and may
// not do it itself. Each server of the control plane has its own.
type Workers struct {
	mu    sync.Mutex
	stuck map[string]*Stuck
}

// Leaving says how a worker leaves its cluster for an upgrade.
type Leaving struct {
	Version string // of the cluster
	Limit   int    // of workers that may be away at the same time; 0 is 1
	Anew    bool   // somebody ordered it: pods that did not move just now are tried at once
}

// Leave has the cluster do without a worker, if it is its turn: its pods move. One whose
// pods did not is left alone for a while.
func (w *Workers) Leave(ctx context.Context, admin Admin, who peers.Member, how Leaving) error {
	if who.Role != fleet.Worker {
		return errNoWorker
	}
	w.mu.Lock()
	if how.Anew {
		delete(w.stuck, who.Name)
	}
	stuck := w.stuck[who.Name]
	w.mu.Unlock()
	if err := stuck.Wait(time.Now()); err != nil {
		return err
	}
	if err := Enter(ctx, admin.Server, who.Name, how.Version, max(1, how.Limit)); err != nil {
		return err
	}
	err := admin.MakeRoom(ctx, who.Name)
	if err != nil && ctx.Err() == nil { // else who asked is gone, and asks again
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.stuck == nil {
			w.stuck = map[string]*Stuck{}
		}
		w.stuck[who.Name] = &Stuck{time.Now(), err.Error()}
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
