package reconciler

import (
	"context"
	"fmt"
	"time"
)

// confirm keeps t as the revision to return to, and only then deletes what
// left the cluster's inventory.
func (s *session) confirm(ctx context.Context, t target) error {
	t.Intents = s.intents
	if err := s.keep(t); err != nil {
		return err
	}
	if err := s.forgetBegun(); err != nil {
		return err
	}
	return s.prune(ctx, t)
}

// keep makes t the revision to return to.
func (s *session) keep(t target) error {
	if s.confirmed != nil && s.confirmed.Commit.Revision == t.Commit.Revision {
		return nil
	}
	t.Commit.Since = s.Now().UTC().Truncate(time.Millisecond)
	if err := s.saveConfirmed(t); err != nil {
		return err
	}
	s.Log.Info("revision confirmed", "revision", t.Commit.Revision[:revisionShown], "layers", len(t.Desired.Cluster.Layers))
	s.confirmed = &t
	s.rec.update(func(st *Status, _ time.Time) { st.Confirmed = &t.Commit })
	return nil
}

// watch gives a change its time to go wrong, in which it is held as ever, and then
// asks whether all is still healthy: a layer that is not, and was before, is judged
// as if it had never been.
func (s *session) watch(ctx context.Context, t target) error {
	lasts := t.Desired.Cluster.Confirm
	if lasts == 0 || s.confirmed != nil && s.confirmed.Desired.Cluster.Digest == t.Desired.Cluster.Digest {
		return nil
	}
	over := time.Now().Add(lasts)
	s.repair(ctx, &t, lasts)
	s.pulse.beat(loopHold, patience+lasts)
	rest(ctx, time.Until(over))
	end := s.tend(ctx, t.Desired.Site, t.Desired.Cluster.Layers, func(string) bool { return true })
	defer end()
	run := layerRun{session: s, target: t, failed: map[string]error{}}
	for _, l := range t.Desired.Cluster.Layers {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if !l.Wait {
			continue
		}
		s.pulse.beat(loopHold, patience+l.Timeout)
		waiting, cancel := context.WithTimeout(ctx, l.Timeout)
		err := s.cluster.Wait(waiting, l)
		cancel()
		if err != nil {
			run.fail(ctx, l, fmt.Errorf("healthy at first, not %s later: %w", lasts, err), true)
		}
	}
	return run.err(t.Desired.Cluster.Layers)
}
