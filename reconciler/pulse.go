package reconciler

import (
	"context"
	"sync"
	"time"
)

const (
	loopFollow = "follow"
	loopHold   = "hold"
	patience   = 30 * time.Minute // that a loop may be busy with one thing
)

// pulse tells whether the agent's loops still move. Each says by when it will be
// heard of again.
type pulse struct {
	mu  sync.Mutex
	due map[string]time.Time
}

func newPulse() *pulse { return &pulse{due: map[string]time.Time{}} }

func (p *pulse) beat(loop string, within time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.due[loop] = time.Now().Add(within)
}

// late names a loop that is overdue.
func (p *pulse) late(now time.Time) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	for loop, due := range p.due {
		if now.After(due) {
			return loop
		}
	}
	return ""
}

// live says that the agent is alive as long as its loops move and its status can
// be looked at, until ctx ends.
func (s *session) live(ctx context.Context) {
	if s.Alive == nil {
		return
	}
	tick := time.NewTicker(s.AliveWithin)
	defer tick.Stop()
	hung := false
	for {
		late := s.pulse.late(time.Now())
		if late == "" {
			s.rec.snapshot()
			s.Alive()
		} else if !hung {
			s.Log.Error("agent hangs", "loop", late)
		}
		hung = late != ""
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}
