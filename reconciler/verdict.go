package reconciler

import (
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/holdfast-fleet/holdfast/durable"
	"github.com/holdfast-fleet/holdfast/render"
)

const (
	verdictsFile = "verdicts.json"
	maxVerdicts  = 100 // the oldest go first
)

// Verdict is that a layer, as one digest of it says, is bad. It is kept on disk,
// and stands until the layer changes or a person says "holdfast retry".
type Verdict struct {
	Layer    string    `json:"layer"`
	Digest   string    `json:"digest"` // that is bad
	To       string    `json:"to"`     // digest that the layer was put back to
	Revision string    `json:"revision"`
	Why      string    `json:"why"`
	Since    time.Time `json:"since"`
}

// verdicts are on disk before a layer is put back.
type verdicts struct {
	path string
	disk durable.Disk
	list []Verdict
}

func openVerdicts(disk durable.Disk, dir string) (*verdicts, error) {
	v := &verdicts{path: filepath.Join(dir, verdictsFile), disk: disk}
	_, err := durable.ReadJSON(v.path, &v.list)
	return v, err
}

// on returns the verdict on a digest; nil if there is none.
func (v *verdicts) on(digest string) *Verdict {
	i := slices.IndexFunc(v.list, func(o Verdict) bool { return o.Digest == digest })
	if i < 0 {
		return nil
	}
	return &v.list[i]
}

// add counts even if it cannot be kept.
func (v *verdicts) add(one Verdict) error {
	if v.on(one.Digest) != nil {
		return nil
	}
	v.list = append(v.list, one)
	v.list = v.list[max(0, len(v.list)-maxVerdicts):]
	return v.disk.WriteJSON(v.path, v.list)
}

// clear forgets the verdicts on a layer; on all if it is empty. It returns how many.
func (v *verdicts) clear(layer string) (int, error) {
	before := len(v.list)
	left := slices.DeleteFunc(slices.Clone(v.list), func(o Verdict) bool { return layer == "" || o.Layer == layer })
	if len(left) == before {
		return 0, nil
	}
	if err := v.disk.WriteJSON(v.path, left); err != nil {
		return 0, err
	}
	v.list = left
	return before - len(left), nil
}

// sayVerdicts puts them into the status.
func (s *session) sayVerdicts() {
	list := slices.Clone(s.verdicts.list)
	s.rec.update(func(st *Status, _ time.Time) { st.Verdicts = list })
}

// trial is how a layer's digest has failed so far.
type trial struct {
	since     time.Time
	unhealthy int // times
}

// condemns counts a failure, and tells whether it is one too many. A layer that
// is refused gets as long as one that does not become healthy.
func (t *trial) condemns(l render.Layer, unhealthy bool, now time.Time) bool {
	if t.since.IsZero() {
		t.since = now
	}
	if unhealthy {
		t.unhealthy++
		return t.unhealthy > l.Retry
	}
	return now.Sub(t.since) >= time.Duration(1+l.Retry)*l.Timeout
}

// judge decides whether a failure condemns a layer's digest, so that the layer
// is put back to what was last confirmed and not tried again until it changes.
// s.mu is held.
func (s *session) judge(t target, l render.Layer, err error, unhealthy bool) {
	if s.replaced(l) == nil {
		return
	}
	tried := s.failing[l.Digest]
	if tried == nil {
		tried = new(trial)
		s.failing[l.Digest] = tried
	}
	if !tried.condemns(l, unhealthy, time.Now()) {
		return
	}
	s.condemn(t, l, err)
	if sick := new(UnhealthyError); errors.As(err, &sick) {
		for _, o := range sick.Objects {
			s.cluster.Event(Event{Object: o.Object, Warning: true, Reason: ReasonRolledBack, Message: "layer " + l.Name + " goes back to what was last confirmed: " + o.Why})
		}
	}
}

// condemn finds a layer bad, which replaces one that it can be put back to.
func (s *session) condemn(t target, l render.Layer, err error) {
	old := s.replaced(l)
	v := Verdict{Layer: l.Name, Digest: l.Digest, To: old.Digest, Revision: t.Commit.Revision, Why: err.Error(), Since: s.Now().UTC().Truncate(time.Millisecond)}
	if err := s.verdicts.add(v); err != nil {
		s.Log.Error("verdict not kept: it is forgotten when the agent restarts", "layer", l.Name, "error", err)
	}
	s.judged = true
	s.sayVerdicts()
	s.Log.Warn("layer rolled back", "layer", l.Name, "digest", l.Digest, "to", old.Digest, "why", err)
}

// confirmedLayer is a layer as last confirmed; nil if there is none.
func (s *session) confirmedLayer(name string) *render.Layer {
	for _, l := range s.confirmedLayers() {
		if l.Name == name {
			return &l
		}
	}
	return nil
}

// countsAgainst tells whether a failure says something about the change: not
// what the node, or missing content, is to blame for.
func countsAgainst(err error) bool {
	if errors.Is(err, ErrUnreachable) || errors.Is(err, ErrNotLeader) || errors.Is(err, ErrBehind) {
		return false
	}
	sick := new(UnhealthyError)
	return !errors.As(err, &sick) || !slices.ContainsFunc(sick.Objects, func(o Unhealthy) bool {
		return strings.Contains(o.Why, "ImagePullBackOff") || strings.Contains(o.Why, "ErrImagePull") || strings.Contains(o.Why, "ErrImageNeverPull")
	})
}
