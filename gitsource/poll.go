package gitsource

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"
)

// slowest is how many intervals at most pass between two polls of a source that fails.
const slowest = 10

// poller is one source, or all bundle folders together.
type poller struct {
	name   string // of its candidate; "" for the bundle folders, which have one each
	source Source // zero for the bundle folders
	fetch  func(context.Context) error
	drop   func() error // removes what it keeps on disk, after its last poll
	busy   sync.Mutex   // one poll at a time

	increments bool // it never brings a fresh clone

	// Guarded by Repository.mu:
	stop     context.CancelFunc // of its loop; nil: it has none
	gone     bool               // it is no source any more
	answered bool               // some poll
	err      error              // of the last poll
	asked    time.Time          // when the last poll ended
	heard    time.Time          // when the last one without an error did
	next     time.Time          // when it is asked again, as far as that is known
}

// Fetch asks every source once, and looks into every bundle folder, and brings
// what is new into the mirror. One that fails keeps no other from being read:
// errors are joined, and each names its source. A source with nothing new costs
// one round trip; a bundle that did not change costs a stat.
func (r *Repository) Fetch(ctx context.Context) error {
	r.mu.Lock()
	pollers := slices.Clone(r.pollers)
	r.mu.Unlock()
	errs := make([]error, len(pollers))
	var wg sync.WaitGroup
	for i, p := range pollers {
		wg.Go(func() { errs[i] = r.poll(ctx, p) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

func (r *Repository) loop(ctx context.Context, p *poller, interval time.Duration, changed <-chan struct{}, heard chan<- struct{}) {
	for failures := 0; ctx.Err() == nil; {
		if r.poll(ctx, p) == nil {
			failures = 0
		} else {
			failures++
		}
		rest := pause(interval, failures)
		r.asksAgain(p, time.Now().Add(rest))
		select {
		case heard <- struct{}{}:
		default:
		}
		wait := time.NewTimer(rest)
		select {
		case <-ctx.Done():
		case _, open := <-changed:
			if !open {
				changed = nil
			}
		case <-wait.C:
		}
		wait.Stop()
	}
}

// pause is the time to the next poll after some failures in a row.
func pause(interval time.Duration, failures int) time.Duration {
	d := interval
	for n := 1; n < failures && d < slowest*interval; n++ {
		d *= 2
	}
	d = min(d, slowest*interval)
	return d + time.Duration((rand.Float64()-0.5)*0.2*float64(d))
}

func (r *Repository) poll(ctx context.Context, p *poller) error {
	p.busy.Lock()
	defer p.busy.Unlock()
	r.open.RLock()
	defer r.open.RUnlock()
	if r.isGone(p) {
		return nil
	}
	if p.increments {
		if err := r.repack(reading(ctx, r.dir)); err != nil && ctx.Err() == nil {
			r.log.Warn("mirror has grown and stays so", "error", err)
		}
	}
	base := r.store()
	err := p.fetch(reading(ctx, p.name))
	if err != nil && p.name != "" {
		err = fmt.Errorf("fetch %s: %w", p.name, err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if isDamage(err) && base == r.mirror {
		err = errors.Join(err, r.resetMirror(err))
	}
	p.err, p.answered, p.asked = err, p.answered || err == nil, time.Now()
	if err == nil {
		p.heard = p.asked
	}
	return err
}

func (r *Repository) isGone(p *poller) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return p.gone
}

// store is the mirror as it is now; damage may put another in its place.
func (r *Repository) store() *store {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.mirror
}
