package reconciler

import (
	"context"
	"errors"
	"time"

	"github.com/holdfast-fleet/holdfast/fleet"
	"github.com/holdfast-fleet/holdfast/gitsource"
)

// follow sends each newly verified revision. It sends once before it asks
// anybody: what the host accepted before its last restart, or the zero Revision.
func (s *session) follow(ctx context.Context, revisions chan<- gitsource.Revision) {
	rev, _ := s.Source.Verify(ctx) // what is wrong is said when the sources were asked
	_ = s.restoreSources()         // likewise
	send(ctx, revisions, rev)
	for range s.asked(gitsource.WithProgress(ctx, s.receiving)) {
		s.pulse.beat(loopFollow, patience+2*s.Interval)
		s.rec.update(func(st *Status, _ time.Time) { st.Receiving = "" })
		problems := s.Source.Problems()
		next := s.receive(ctx)
		s.rec.contacts(s.Source.Sources())
		s.rec.finish(PhaseSource, s.rotation.look(errors.Join(problems, s.restoreSources())))
		if next.Commit() != "" && next.Commit() != rev.Commit() {
			rev = next
			send(ctx, revisions, rev)
		}
	}
}

// asked yields whenever a source was asked, until ctx ends. A sync has all asked at once.
func (s *session) asked(ctx context.Context) func(yield func() bool) {
	return func(yield func() bool) {
		for goOn := true; goOn && ctx.Err() == nil; {
			round, end := context.WithCancel(ctx)
			stop := make(chan struct{})
			go func() {
				select {
				case <-s.sync:
					end()
				case <-stop:
				}
			}()
			for range s.Source.Follow(round, s.interval()) {
				if goOn = goOn && yield(); !goOn {
					end()
				}
			}
			close(stop)
			end()
			goOn = goOn && ctx.Err() == nil && yield() // what was brought by hand waits for no source
		}
	}
}

// soonest is between polls of a host that waits for its registration: somebody may stand before it.
const soonest = 10 * time.Second

// interval is between polls of the sources.
func (s *session) interval() time.Duration {
	if s.waiting.Load() {
		return min(s.Interval, soonest)
	}
	return s.Interval
}

// waits notes whether the host still waits for its registration. Where that changes how
// often sources are asked, it counts at once.
func (s *session) waits(now bool) {
	before := s.interval()
	s.waiting.Store(now)
	if s.interval() != before {
		s.askAll()
	}
}

// askAll has all sources asked at once.
func (s *session) askAll() {
	select {
	case s.sync <- struct{}{}:
	default:
	}
}

// restoreSources opens the proven sources, if that is still to be done.
func (s *session) restoreSources() error {
	return s.rotation.restore(func(rev gitsource.Revision) (*fleet.Host, error) {
		f, err := s.fleet(rev)
		if err != nil {
			return nil, err
		}
		return f.HostByIdentity(s.Identity)
	})
}

func (s *session) verify(ctx context.Context) (gitsource.Revision, error) {
	rev, refused := s.Source.Verify(ctx)
	s.rec.finish(PhaseVerify, refused)
	alarms := gitsource.Alarms(refused)
	stale, err := s.fresh.look(heard{rev.Commit(), rev.Heartbeat(), s.Now(), time.Since(s.started)})
	if err != nil {
		s.Log.Error("age of the news not kept", "error", err)
	}
	s.rec.update(func(st *Status, now time.Time) {
		if stale != nil && st.Stale == nil {
			s.Log.Warn("fleet is stale", "why", stale.Why)
		}
		st.Stale, st.Diverged, st.Unreleased = stale, alarms, rev.Unreleased()
		if rev.Commit() == "" {
			return
		}
		if st.Accepted == nil || st.Accepted.Revision != rev.Commit() {
			st.Accepted = &Commit{Revision: rev.Commit(), Signer: rev.Signer().Name, Since: now, Reset: rev.Override()}
		}
	})
	return rev, refused
}

// sayReceiving is how often the log says how far a source is.
const sayReceiving = 10 * time.Second

func (s *session) receiving(p gitsource.Progress) {
	s.mu.Lock()
	due := time.Since(s.said) >= sayReceiving
	if due {
		s.said = time.Now()
	}
	s.mu.Unlock()
	if due {
		s.Log.Info("source being read", "progress", p.String())
	}
	s.rec.update(func(st *Status, _ time.Time) { st.Receiving = p.String() })
}

func send(ctx context.Context, revisions chan<- gitsource.Revision, rev gitsource.Revision) {
	select {
	case revisions <- rev:
	case <-ctx.Done():
	}
}
