package reconciler

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/holdfast-fleet/holdfast/gitsource"
)

// Inbox is the folder in the agent's data folder from which bundles are taken
// once, when the order to sync is given. What is there was brought by a person.
const Inbox = "inbox"

// What the log says of a bundle that was brought: of the file, that it was taken,
// with its result, or refused, with the reason.
const (
	BundleTaken   = "bundle taken"
	BundleRefused = "bundle refused"
	BundleFile    = "file"   // the name of the fact that names it
	BundleResult  = "result" // accepted, or nothing new
	BundleReason  = "reason"
)

// receive verifies what sources have, and what somebody brought.
func (s *session) receive(ctx context.Context) gitsource.Revision {
	brought := s.take(ctx)
	before := s.rec.snapshot().Accepted
	rev, refused := s.verify(ctx)
	if ctx.Err() != nil {
		return rev // it is taken after the next start
	}
	for path, b := range brought {
		reason := b.err
		if reason == nil {
			reason = gitsource.RefusalOf(refused, path)
		}
		name := filepath.Base(path)
		switch {
		case reason != nil:
			s.Log.Warn(BundleRefused, BundleFile, name, "commit", b.commit, BundleReason, reason)
		case before == nil && b.commit == rev.Commit(), before != nil && before.Revision != rev.Commit():
			s.Log.Info(BundleTaken, BundleFile, name, "commit", rev.Commit(), BundleResult, "accepted")
		default:
			s.Log.Info(BundleTaken, BundleFile, name, "commit", b.commit, BundleResult, "nothing new")
		}
		s.Source.Forget(path)
		if err := os.Remove(path); err != nil {
			s.Log.Error("bundle not removed: it is taken again", BundleFile, name, "error", err)
		}
	}
	return rev
}

// broughtBundle is a bundle from the inbox.
type broughtBundle struct {
	commit string
	err    error
}

// take reads what is in the inbox, each bundle after those that it builds on.
func (s *session) take(ctx context.Context) map[string]broughtBundle {
	entries, err := os.ReadDir(filepath.Join(s.Dir, Inbox))
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			s.Log.Error("bundles that were brought are not readable", "error", err)
		}
		return nil
	}
	brought := map[string]broughtBundle{}
	for more := true; more && ctx.Err() == nil; {
		more = false
		for _, e := range entries {
			path := filepath.Join(s.Dir, Inbox, e.Name())
			before, tried := brought[path]
			if strings.HasPrefix(e.Name(), ".") || tried && before.err == nil {
				continue
			}
			commit, err := s.Source.Take(gitsource.WithProgress(ctx, s.receiving), path)
			brought[path] = broughtBundle{commit, err}
			more = more || err == nil // another one may build on it
		}
	}
	return brought
}
