package reconciler

import (
	"context"
	"time"
)

// confirm keeps t as the revision to return to, and only then deletes what
// left the cluster's inventory.
func (s *session) confirm(ctx context.Context, t target) error {
	if s.confirmed == nil || s.confirmed.Commit.Revision != t.Commit.Revision {
		t.Intents = s.intents
		t.Commit.Since = time.Now().UTC().Truncate(time.Millisecond)
		if err := saveConfirmed(s.Dir, t); err != nil {
			return err
		}
		s.Log.Info("revision confirmed", "revision", t.Commit.Revision[:12], "layers", len(t.Desired.Cluster.Layers))
		s.confirmed = &t
		s.rec.update(func(st *Status, _ time.Time) { st.Confirmed = &t.Commit })
	}
	t.Intents = s.intents
	return s.prune(ctx, t)
}
