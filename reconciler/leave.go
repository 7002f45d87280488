package reconciler

import (
	"context"
	"os"
	"path/filepath"
	"time"

	"github.com/holdfast-fleet/holdfast/bootstrap"
	"github.com/holdfast-fleet/holdfast/fleet"
	"github.com/holdfast-fleet/holdfast/peers"
)

// leaver is a driver whose hosts can leave their cluster to others.
type leaver interface {
	Leave(ctx context.Context, req bootstrap.Request) error
}

// removedError reports a host that the fleet has removed. To what it ran, nothing
// changes but that it leaves.
type removedError struct{ file string }

func (r *removedError) Error() string { return r.file + ": this host is removed" }

func (r *removedError) Unwrap() error { return ErrFrozen }

// Hint says what becomes of it.
func (r *removedError) Hint() string {
	return "the hosts of its site that stay take it out of their cluster; then it takes itself apart"
}

// leave takes a removed host out of the cluster whose node it is, once the others have
// let it go; also out of one in which it never confirmed a revision. What it would return
// to is forgotten, for it must not come back by itself.
func (s *session) leave(ctx context.Context) error {
	if s.removed == nil {
		return nil
	}
	name, confirmed := s.removed.Name, ""
	if s.confirmed != nil {
		name = s.confirmed.Desired.Host
		dist, err := fleet.ParseDistribution(s.confirmed.Desired.Node.Distribution)
		if err != nil {
			return err
		}
		confirmed = dist.Type
	}
	left := false
	for _, kind := range fleet.DistributionTypes {
		dir := filepath.Join(s.Dir, kind)
		if _, err := os.Stat(dir); err != nil && kind != confirmed {
			continue
		}
		driver, err := s.Driver(kind)
		if err != nil {
			return err
		}
		l, ok := driver.(leaver)
		if !ok {
			continue
		}
		s.rec.enter(PhaseBootstrap)
		err = l.Leave(ctx, bootstrap.Request{Dir: dir, Host: name, Members: peers.Members(s.removed.Site), Log: s.Log})
		if err != nil {
			s.rec.finish(PhaseBootstrap, err)
			return err
		}
		left = true
	}
	if !left {
		return nil
	}
	err := s.forget()
	s.rec.finish(PhaseBootstrap, err)
	return err
}

// forget makes of the host one that has run nothing yet.
func (s *session) forget() error {
	for _, name := range []string{inventoryFile, confirmedFile} {
		if err := s.Disk.RemoveAll(filepath.Join(s.Dir, name)); err != nil {
			return err
		}
	}
	if err := s.Disk.SyncDir(s.Dir); err != nil {
		return err
	}
	if s.confirmed != nil {
		s.Log.Info("host has left its cluster")
	}
	s.confirmed, s.rendered, s.inventory, s.cluster, s.access = nil, nil, Inventory{}, nil, bootstrap.Access{}
	s.rec.update(func(st *Status, _ time.Time) { st.Confirmed, st.Layers, st.Kubeconfig = nil, nil, "" })
	return nil
}
