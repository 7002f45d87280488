package reconciler

import (
	"fmt"
	"path/filepath"

	"github.com/holdfast-fleet/holdfast/durable"
	"github.com/holdfast-fleet/holdfast/render"
)

const (
	attemptsFile = "attempts.json"
	maxCutOff    = 3 // attempts; a power cut or two may hit any change
)

// attempts are the changes of layers that were begun and did not come to an end,
// good or bad, by digest. A change that takes the agent or the whole host down can
// say nothing of itself: what is on disk when the agent starts says it.
type attempts struct {
	path string
	disk durable.Disk
	cut  map[string]int // digest of a layer → times that it was cut off; the one under way included
	now  []string       // under way
}

func openAttempts(disk durable.Disk, dir string) (*attempts, error) {
	a := &attempts{path: filepath.Join(dir, attemptsFile), disk: disk, cut: map[string]int{}}
	_, err := durable.ReadJSON(a.path, &a.cut)
	return a, err
}

// begin is on disk before a change is tried.
func (a *attempts) begin(digests []string) error {
	a.now = digests
	if len(digests) == 0 {
		return nil
	}
	for _, d := range digests {
		a.cut[d]++
	}
	return a.disk.WriteJSON(a.path, a.cut)
}

// end is that the attempts under way came to one: what is to be said of them was said.
func (a *attempts) end() error {
	if len(a.now) == 0 {
		return nil
	}
	for _, d := range a.now {
		delete(a.cut, d)
	}
	a.now = nil
	if len(a.cut) > 0 {
		return a.disk.WriteJSON(a.path, a.cut)
	}
	if err := a.disk.RemoveAll(a.path); err != nil {
		return err
	}
	return a.disk.SyncDir(filepath.Dir(a.path))
}

// attempt notes which layers are about to change, of those that could be put back.
func (s *session) attempt(layers []render.Layer) error {
	var changed []string
	for _, l := range layers {
		if s.replaced(l) != nil && s.applied[l.Name] != l.Digest {
			changed = append(changed, l.Digest)
		}
	}
	return s.attempts.begin(changed)
}

// attempted ends what attempt began.
func (s *session) attempted() {
	if err := s.attempts.end(); err != nil {
		s.Log.Error("attempts not forgotten: one that is cut off next counts twice", "error", err)
	}
}

// condemnCutOff finds layers bad that have taken the agent down again and again.
func (s *session) condemnCutOff(t target) {
	for _, l := range t.Desired.Cluster.Layers {
		if n := s.attempts.cut[l.Digest]; n >= maxCutOff && s.replaced(l) != nil {
			s.condemn(t, l, fmt.Errorf("the agent, or the host, went down %d times while the change was tried", n))
			s.attempts.now = append(s.attempts.now, l.Digest)
		}
	}
	s.attempted()
}

// replaced is the confirmed layer that l changes and can be put back to; nil if there is none.
func (s *session) replaced(l render.Layer) *render.Layer {
	old := s.confirmedLayer(l.Name)
	if old == nil || old.Digest == l.Digest || !rollsBack(l, *old) {
		return nil
	}
	return old
}
