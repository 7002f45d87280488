package reconciler

import (
	"context"
	"time"

	"github.com/holdfast-fleet/holdfast/gitsource"
)

// follow asks the sources for ever and sends each newly verified revision. It
// sends once before it asks anybody: what the host accepted before its last
// restart, or the zero Revision.
func (s *session) follow(ctx context.Context, revisions chan<- gitsource.Revision) {
	changed, err := s.Source.Watch(ctx)
	if err != nil {
		s.Log.Warn("bundle folders are not watched, only polled", "error", err)
	}
	rev, _ := s.Source.Verify(ctx) // what is wrong is said when the sources were asked
	send(ctx, revisions, rev)
	failures := 0
	for ctx.Err() == nil {
		if err := s.fetch(ctx); err != nil {
			failures++
		} else {
			failures = 0
		}
		if next := s.verify(ctx); next.Commit() != "" && next.Commit() != rev.Commit() {
			rev = next
			send(ctx, revisions, rev)
		}
		wait := jitter(s.Interval)
		if failures > 0 {
			wait = backoff(failures, s.Interval, 10*s.Interval)
		}
		select {
		case <-ctx.Done():
		case <-changed:
		case <-time.After(wait):
		}
	}
}

func (s *session) fetch(ctx context.Context) error {
	err := s.Source.Fetch(ctx)
	s.rec.finish(PhaseSource, err)
	return err
}

func (s *session) verify(ctx context.Context) gitsource.Revision {
	rev, err := s.Source.Verify(ctx)
	s.rec.finish(PhaseVerify, err)
	if rev.Commit() == "" {
		return rev
	}
	s.rec.update(func(st *Status, now time.Time) {
		if st.Accepted == nil || st.Accepted.Revision != rev.Commit() {
			st.Accepted = &Commit{Revision: rev.Commit(), Signer: rev.Signer().Name, Since: now}
		}
	})
	return rev
}

func send(ctx context.Context, revisions chan<- gitsource.Revision, rev gitsource.Revision) {
	select {
	case revisions <- rev:
	case <-ctx.Done():
	}
}
