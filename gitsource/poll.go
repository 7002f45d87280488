package gitsource

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"
)

// slowest is how many intervals at most pass between two polls of a source that fails.
const slowest = 10

// poller is one source, or all bundle folders together.
type poller struct {
	name  string // of its candidate; "" for the bundle folders, which have one each
	fetch func(context.Context) error
	busy  sync.Mutex // one poll at a time

	increments bool // it never brings a fresh clone

	err error // of the last poll; guarded by Repository.mu
}

// Fetch asks every source once, and looks into every bundle folder, and brings
// what is new into the mirror. One that fails keeps no other from being read:
// errors are joined, and each names its source. A source with nothing new costs
// one round trip; a bundle that did not change costs a stat.
func (r *Repository) Fetch(ctx context.Context) error {
	errs := make([]error, len(r.pollers))
	var wg sync.WaitGroup
	for i, p := range r.pollers {
		wg.Go(func() { errs[i] = r.poll(ctx, p) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

// Follow asks every source for ever, each in a loop of its own, so that one that
// is slow keeps no other from being heard: once each interval, jittered by a
// tenth, and ever more rarely while it fails. The bundle folders are also looked
// at when something appears there. It sends whenever a source was asked; signals
// are merged. The channel is closed when ctx has ended and all loops with it.
func (r *Repository) Follow(ctx context.Context, interval time.Duration) <-chan struct{} {
	heard := make(chan struct{}, 1)
	var wg sync.WaitGroup
	for _, p := range r.pollers {
		var changed <-chan struct{}
		if p.name == "" {
			var err error
			if changed, err = r.Watch(ctx); err != nil {
				r.log.Warn("bundle folders are not watched, only polled", "error", err)
			}
		}
		wg.Go(func() { r.loop(ctx, p, interval, changed, heard) })
	}
	go func() {
		wg.Wait()
		<-ctx.Done()
		close(heard)
	}()
	return heard
}

func (r *Repository) loop(ctx context.Context, p *poller, interval time.Duration, changed <-chan struct{}, heard chan<- struct{}) {
	for failures := 0; ctx.Err() == nil; {
		if r.poll(ctx, p) == nil {
			failures = 0
		} else {
			failures++
		}
		select {
		case heard <- struct{}{}:
		default:
		}
		wait := time.NewTimer(pause(interval, failures))
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

// Problems joins why sources could not be read at their last poll.
func (r *Repository) Problems() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	var errs []error
	for _, p := range r.pollers {
		errs = append(errs, p.err)
	}
	return errors.Join(errs...)
}

func (r *Repository) poll(ctx context.Context, p *poller) error {
	p.busy.Lock()
	defer p.busy.Unlock()
	r.open.RLock()
	defer r.open.RUnlock()
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
	p.err = err
	return err
}

// store is the mirror as it is now; damage may put another in its place.
func (r *Repository) store() *store {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.mirror
}
