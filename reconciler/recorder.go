package reconciler

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/holdfast-fleet/holdfast/durable"
	"github.com/holdfast-fleet/holdfast/gitsource"
	"github.com/holdfast-fleet/holdfast/selfupdate"
)

// A recorder holds the status and writes it, at most every writeInterval, so
// that a hundred layers changing at once cost one write, and more seldom on a slow
// disk, so that little of its time goes to this: a cluster's etcd waits for it, too.
type recorder struct {
	dir  string
	disk durable.Disk
	log  *slog.Logger
	now  func() time.Time

	mu      sync.Mutex
	status  Status
	changed chan struct{} // one slot
	written []byte        // of the status last written, what comes before UpdatedAt
	failing bool          // the last write did
}

const (
	writeInterval = 200 * time.Millisecond
	writeShare    = 10              // a write takes this part of the time at most,
	writeSeldom   = time.Second     // unless the last one was longer ago
	lazyWrite     = time.Minute     // between writes for nothing but when sources were asked
	writeAgain    = 2 * time.Second // after one that failed
)

func newRecorder(dir string, first Status, log *slog.Logger) *recorder {
	return &recorder{dir: dir, status: first, log: log, now: time.Now, changed: make(chan struct{}, 1)}
}

// update changes the status; fn gets the time to stamp it with.
func (r *recorder) update(fn func(s *Status, now time.Time)) {
	r.mu.Lock()
	fn(&r.status, r.now().UTC().Truncate(time.Millisecond))
	r.mu.Unlock()
	select {
	case r.changed <- struct{}{}:
	default:
	}
}

// contacts notes how the sources are. That they were asked again as ever is no news:
// it is written with the next news, or within lazyWrite.
func (r *recorder) contacts(list []gitsource.SourceState) {
	r.mu.Lock()
	for i := range list {
		at := slices.IndexFunc(r.status.Sources, func(s gitsource.SourceState) bool { return s.Name == list[i].Name })
		if list[i].Heard.IsZero() && at >= 0 {
			list[i].Heard = r.status.Sources[at].Heard // before the last restart
		}
	}
	news := !slices.EqualFunc(list, r.status.Sources, gitsource.SourceState.Same)
	r.status.Sources = list
	r.mu.Unlock()
	if news {
		r.update(func(*Status, time.Time) {})
	}
}

func (r *recorder) enter(p Phase) {
	r.update(func(s *Status, now time.Time) { s.enter(p, now) })
}

// finish records how a phase ended. A failure that a person has already read
// in the log is not logged again.
func (r *recorder) finish(p Phase, err error) {
	if err == nil {
		failed := false
		r.update(func(s *Status, _ time.Time) { failed = s.clear(p) })
		if failed {
			r.log.Info("phase goes on", "phase", string(p))
		}
		return
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, selfupdate.ErrRestart) {
		return
	}
	hint := strings.Join(hints(err, nil), "\n")
	known := false
	r.update(func(s *Status, now time.Time) {
		known = slices.ContainsFunc(s.Failures, func(f Failure) bool { return f.Phase == p && f.Message == err.Error() })
		s.fail(p, err.Error(), hint, now)
	})
	if !known {
		r.log.Warn("phase stopped", "phase", string(p), "error", err)
	}
}

// hints appends to known, once each, what errors joined in err say can be done.
func hints(err error, known []string) []string {
	if h, ok := err.(interface{ Hint() string }); ok && h.Hint() != "" {
		if slices.Contains(known, h.Hint()) {
			return known
		}
		return append(known, h.Hint())
	}
	switch e := err.(type) { //nolint:errorlint // it walks the whole tree itself
	case interface{ Unwrap() error }:
		return hints(e.Unwrap(), known)
	case interface{ Unwrap() []error }:
		for _, part := range e.Unwrap() {
			known = hints(part, known)
		}
	}
	return known
}

func (r *recorder) snapshot() Status {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.status
	s.Layers = slices.Clone(s.Layers)
	s.Failures = slices.Clone(s.Failures)
	s.Sources = slices.Clone(s.Sources)
	return s
}

// run writes the status when it changed, until ctx ends, then once more.
func (r *recorder) run(ctx context.Context) {
	lazy := time.NewTicker(lazyWrite)
	defer lazy.Stop()
	again := time.NewTimer(writeAgain)
	again.Stop()
	defer again.Stop()
	for {
		select {
		case <-ctx.Done():
			r.write()
			return
		case <-r.changed:
		case <-lazy.C:
		case <-again.C:
		}
		began := time.Now()
		r.write()
		pause := min(max(writeInterval, writeShare*time.Since(began)), writeSeldom)
		if r.failing {
			again.Reset(writeAgain)
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
}

func (r *recorder) write() {
	s := r.snapshot()
	s.UpdatedAt = r.now().UTC().Truncate(time.Millisecond)
	data, err := json.Marshal(s)
	said, _, _ := bytes.Cut(data, []byte(`,"updatedAt":`))
	if err == nil && bytes.Equal(said, r.written) {
		return
	}
	if err == nil {
		err = r.disk.WriteFile(filepath.Join(r.dir, StatusFile), append(data, '\n'), 0o644)
	}
	switch {
	case err == nil:
		r.written = said
		if r.failing {
			r.log.Info("status written again")
		}
	case !r.failing:
		r.log.Error("status not written: what is to be read is old", "error", err)
	}
	r.failing = err != nil
}
