package reconciler

import (
	"fmt"
	"path/filepath"
	"sync"
	"time"

	"github.com/holdfast-fleet/holdfast/durable"
)

const (
	newsFile  = "news.json"
	newsWrite = 10 * time.Minute // of uptime that a power cut may take away
)

// Stale says that the fleet has not been heard of for longer than it allows: a
// source may be frozen, by accident or on purpose. The host goes on running.
type Stale struct {
	News  time.Time `json:"news"`  // when the last new revision or heartbeat came
	Limit string    `json:"limit"` // the fleet's freshness
	Why   string    `json:"why"`
}

// news is when this host last heard something new of its fleet, as it keeps it.
type news struct {
	Revision  string        `json:"revision"`
	Heartbeat time.Time     `json:"heartbeat"` // newest that was seen, as signed
	Seen      time.Time     `json:"seen"`      // by the host's clock, whatever that is worth
	Uptime    time.Duration `json:"uptime"`    // in nanoseconds: how long the agent has run since, of all its runs
	Limit     time.Duration `json:"limit"`     // in nanoseconds: the fleet's freshness; 0: none
}

// freshness judges the age of the news by the clock and by the time that the
// agent has run: a clock that stands still or jumps back hides nothing.
type freshness struct {
	path string
	disk durable.Disk

	mu      sync.Mutex
	news    news
	counted time.Duration // of this run, what is in news.Uptime
	written time.Duration
}

func openFreshness(dir string) (*freshness, error) {
	f := &freshness{path: filepath.Join(dir, newsFile)}
	_, err := durable.ReadJSON(f.path, &f.news)
	f.written = f.news.Uptime
	return f, err
}

// limit is told by each revision that loads.
func (f *freshness) limit(d time.Duration) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if d == f.news.Limit {
		return nil
	}
	f.news.Limit = d
	return f.write()
}

// heard is what is known at one moment.
type heard struct {
	revision  string
	heartbeat time.Time
	clock     time.Time
	ran       time.Duration // since the agent started
}

// look takes what was verified just now into account and says whether the fleet
// is stale; nil if it is not.
func (f *freshness) look(h heard) (*Stale, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.news.Uptime += h.ran - f.counted
	f.counted = h.ran
	var err error
	if fresh := h.revision != "" && h.revision != f.news.Revision; fresh || h.heartbeat.After(f.news.Heartbeat) {
		f.news.Revision, f.news.Seen, f.news.Uptime = h.revision, h.clock.UTC().Round(0), 0
		if h.heartbeat.After(f.news.Heartbeat) {
			f.news.Heartbeat = h.heartbeat
		}
		err = f.write()
	} else if f.news.Uptime-f.written >= newsWrite {
		err = f.write()
	}
	return f.news.stale(h.clock), err
}

func (n news) stale(clock time.Time) *Stale {
	if n.Limit == 0 || n.Seen.IsZero() {
		return nil
	}
	age, by := clock.Round(0).Sub(n.Seen), "by the clock"
	if n.Uptime > age {
		age, by = n.Uptime, "that the agent has run"
	}
	if age <= n.Limit {
		return nil
	}
	return &Stale{News: n.Seen, Limit: days(n.Limit), Why: fmt.Sprintf("no new revision or heartbeat for %s %s, more than the %s that the fleet allows", days(age), by, days(n.Limit))}
}

func (f *freshness) write() error {
	f.written = f.news.Uptime
	return f.disk.WriteJSON(f.path, f.news)
}

func days(d time.Duration) string {
	if d >= 48*time.Hour {
		return fmt.Sprintf("%dd", int(d.Hours()/24))
	}
	return d.Round(time.Second).String()
}
