package backup

import (
	"context"
	"sync"
	"time"
)

const (
	lookEvery = 30 * time.Second // at the clock, which may jump
	firstWait = time.Minute      // before a failure is tried again; doubled until:
	lastWait  = time.Hour
)

// Duty is what a host has to back up, if anything, as of now.
type Duty struct {
	mu      sync.Mutex
	job     *Job
	changed chan struct{}
}

// NewDuty is none.
func NewDuty() *Duty { return &Duty{changed: make(chan struct{})} }

// Set says what there is to back up; nil for nothing.
func (d *Duty) Set(job *Job) {
	d.mu.Lock()
	defer d.mu.Unlock()
	same := job == nil && d.job == nil || job != nil && d.job != nil && job.same(*d.job)
	if d.job = job; same {
		return
	}
	close(d.changed)
	d.changed = make(chan struct{})
}

func (d *Duty) look() (*Job, <-chan struct{}) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.job, d.changed
}

// Run takes backups when they are due, for as long as it is this host's duty, until ctx ends.
func (k *Keeper) Run(ctx context.Context, duty *Duty) {
	failures := 0
	for ctx.Err() == nil {
		job, changed := duty.look()
		pause := lookEvery
		if job != nil && job.Plan.On() {
			state, err := k.round(ctx, *job)
			if err == nil {
				failures = 0
			} else {
				failures++
				pause = pauseAfter(failures, state, k.now())
			}
		}
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
		case <-timer.C:
		case <-changed:
		}
		timer.Stop()
	}
}

// round does what is due.
func (k *Keeper) round(ctx context.Context, job Job) (State, error) {
	state, _ := k.readState() // one that cannot be read is that of a host without backups
	now := k.now()
	switch {
	case !job.Plan.Next(state.takenAt(), now).After(now):
		return k.Take(ctx, job)
	case state.sends(job.Plan):
		return k.Send(ctx, job)
	}
	return state, nil
}

// pauseAfter is how long to wait after so many failures in a row: where only the
// sending failed, not longer than until the next backup.
func pauseAfter(failures int, s State, now time.Time) time.Duration {
	wait := min(firstWait<<min(failures-1, 10), lastWait)
	if s.Failed == nil && s.Next.After(now) {
		return min(wait, s.Next.Sub(now))
	}
	return wait
}
