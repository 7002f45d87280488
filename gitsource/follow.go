package gitsource

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

// following is what runs the loops of sources.
type following struct {
	ctx      context.Context //nolint:containedctx // sources that come later follow it too
	interval time.Duration
	heard    chan struct{}
	loops    sync.WaitGroup
	ended    bool // guarded by Repository.mu: no loop may start
}

// Follow asks every source for ever, each in a loop of its own, so that one that
// is slow keeps no other from being heard: once each interval, jittered by a
// tenth, and ever more rarely while it fails. The bundle folders are also looked
// at when something appears there. It sends whenever a source was asked; signals
// are merged. The channel is closed when ctx has ended and all loops with it.
func (r *Repository) Follow(ctx context.Context, interval time.Duration) <-chan struct{} {
	f := &following{ctx: ctx, interval: interval, heard: make(chan struct{}, 1)}
	r.mu.Lock()
	r.follows = f
	for _, p := range r.pollers {
		r.start(p)
	}
	r.mu.Unlock()
	go func() {
		<-ctx.Done()
		r.mu.Lock()
		f.ended = true
		r.mu.Unlock()
		f.loops.Wait()
		close(f.heard)
	}()
	return f.heard
}

// start gives a poller its loop, if sources are followed; r.mu is held.
func (r *Repository) start(p *poller) {
	f := r.follows
	if f == nil || f.ended {
		return
	}
	var ctx context.Context
	ctx, p.stop = context.WithCancel(f.ctx)
	var changed <-chan struct{}
	if p.name == "" {
		var err error
		if changed, err = r.Watch(ctx); err != nil {
			r.log.Warn("bundle folders are not watched, only polled", "error", err)
		}
	}
	f.loops.Go(func() {
		defer p.stop()
		r.loop(ctx, p, f.interval, changed, f.heard)
	})
}

// SetSources changes which sources are asked, also while they are followed: those
// that stay as they are go on undisturbed, the others end and leave nothing behind.
// Bundle folders stay. With an error nothing has changed.
func (r *Repository) SetSources(sources []Source) error {
	r.changing.Lock()
	defer r.changing.Unlock()
	wanted, err := r.newPollers(sources)
	if err != nil {
		return fmt.Errorf("change sources: %w", err)
	}
	r.mu.Lock()
	left := slices.Clone(r.pollers)
	for i, p := range wanted {
		at := slices.IndexFunc(left, func(old *poller) bool { return old.name != "" && old.source.same(p.source) })
		if at >= 0 {
			wanted[i] = left[at]
			left = slices.Delete(left, at, at+1)
		}
	}
	for _, p := range left {
		if p.name == "" {
			wanted = append(wanted, p)
			continue
		}
		p.gone = true
		if p.stop != nil {
			p.stop()
		}
	}
	left = slices.DeleteFunc(left, func(p *poller) bool { return p.name == "" })
	r.pollers = wanted
	r.mu.Unlock()
	r.leave(left)
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, p := range wanted {
		if p.stop == nil {
			r.start(p)
		}
	}
	return nil
}

// leave waits for the last polls of sources that are gone, and forgets them.
func (r *Repository) leave(left []*poller) {
	for _, p := range left {
		p.busy.Lock()
		if err := p.drop(); err != nil {
			r.log.Warn("downloads of a former source stay", "source", p.name, "error", err)
		}
		p.busy.Unlock()
		r.mu.Lock()
		delete(r.candidates, p.name)
		r.tags = nil
		r.mu.Unlock()
	}
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

// Answers tells whether a source that is asked has answered, without an error at
// its last poll, and has the newest accepted revision.
func (r *Repository) Answers(s Source) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, p := range r.pollers {
		if p.name == "" || !p.source.same(s) || !p.answered || p.err != nil {
			continue
		}
		c := r.candidates[p.name]
		return c != nil && r.floor != nil && !isOffLine(c.refusal())
	}
	return false
}

// Accepted returns a revision that was accepted before: the floor, or what is on
// the first-parent line to it.
func (r *Repository) Accepted(commit string) (Revision, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	h, err := parseHash(commit)
	if err != nil {
		return Revision{}, err
	}
	if r.floor == nil || r.floor.pending() {
		return Revision{}, errors.New("nothing is accepted yet")
	}
	for at := r.floor.hash(); ; {
		c, err := r.mirror.commit(at)
		if err != nil {
			return Revision{}, shallow(err)
		}
		if at == h {
			return Revision{commit: commit, time: c.time, fs: &treeFS{store: r.mirror, root: c.tree, time: c.time}}, nil
		}
		if len(c.parents) == 0 {
			return Revision{}, fmt.Errorf("commit %.12s is not on the line to the floor", commit)
		}
		at = c.parents[0]
	}
}
