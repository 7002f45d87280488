package reconciler

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/holdfast-fleet/holdfast/fleet"
	"github.com/holdfast-fleet/holdfast/orders"
	"github.com/holdfast-fleet/holdfast/render"
)

// Pause is that the agent changes nothing for a while.
type Pause struct {
	Layer  string          `json:"layer,omitempty"` // empty: all
	Until  time.Time       `json:"until"`
	Reason string          `json:"reason,omitempty"`
	By     *fleet.Position `json:"by,omitempty"` // what suspends it; nil: a person on the host
}

func pauseOf(o orders.Order) Pause {
	return Pause{Layer: o.Layer, Until: o.Until(), Reason: o.Reason}
}

func (s *session) orders() orders.Folder {
	folder := orders.In(s.Dir)
	folder.Disk = s.Disk
	return folder
}

// hear signals orders until ctx ends.
func (s *session) hear(ctx context.Context) <-chan struct{} {
	ordered, err := orders.In(s.Dir).Watch(ctx)
	if err != nil {
		s.Log.Error("orders are only read when the agent starts", "error", err)
		return nil
	}
	return ordered
}

// given reads the orders.
func (s *session) given() []orders.Order {
	list, err := s.orders().List()
	if err != nil {
		s.Log.Warn("order not understood", "error", err)
	}
	return list
}

// isNews tells whether there is something to carry out, or other pauses than before.
func (s *session) isNews(list []orders.Order) bool {
	pauses := slices.DeleteFunc(slices.Clone(list), func(o orders.Order) bool { return o.Verb != orders.Pause })
	return len(pauses) != len(list) || !slices.EqualFunc(pauses, s.pausesOnDisk, func(a, b orders.Order) bool {
		return a.Layer == b.Layer && a.At.Equal(b.At) && a.For == b.For
	})
}

// obey carries orders out; nothing else is under way.
func (s *session) obey(list []orders.Order) {
	var pauses []orders.Order
	for _, o := range list {
		switch o.Verb {
		case orders.Pause:
			pauses = append(pauses, o)
			continue
		case orders.Retry:
			s.retry(o.Layer)
		case orders.Sync:
			s.askAll()
		}
		s.Log.Info("order carried out", "order", string(o.Verb), "layer", o.Layer)
		s.remove(o)
	}
	s.pausesOnDisk, s.pauses = pauses, slices.Clone(pauses)
	clear(s.applied)
	s.lookAtPauses()
}

func (s *session) remove(o orders.Order) {
	if _, err := s.orders().Remove(o.Verb, o.Layer); err != nil {
		s.Log.Error("order not removed", "order", string(o.Verb), "error", err)
	}
}

// retry forgets what was found bad: of a layer, or of all, the node and the agent's programs.
func (s *session) retry(layer string) {
	clear(s.failing)
	n, err := s.verdicts.clear(layer)
	if err != nil {
		s.Log.Error("verdicts not forgotten", "error", err)
	}
	s.sayVerdicts()
	s.Log.Info("verdicts forgotten", "layer", layer, "count", n)
	if layer != "" {
		return
	}
	s.tryAnew = true
	if s.Program == nil {
		return
	}
	s.rendered = nil // which program the revision names is looked at before it is loaded
	if err := s.Program.Forget(); err != nil {
		s.Log.Error("verdicts on agents not forgotten", "error", err)
	}
	s.rec.update(func(st *Status, _ time.Time) { st.Agent = s.agentStatus(st.Agent.Started) })
}

// lookAtPauses drops those that are over, and returns how long until the next is;
// 0 if none stands.
func (s *session) lookAtPauses() time.Duration {
	var next time.Duration
	now := s.Now()
	standing := slices.DeleteFunc(s.pauses, func(o orders.Order) bool {
		key := o.Layer + " " + o.At.String()
		if s.knownFor[key].IsZero() {
			s.knownFor[key] = time.Now()
		}
		ran := time.Since(s.knownFor[key])
		if o.Over(now, ran) {
			s.remove(o)
			return true
		}
		if left := min(o.Until().Sub(now), o.For-ran); next == 0 || left < next {
			next = left
		}
		return false
	})
	if len(standing) < len(s.pauses) {
		clear(s.applied) // what people changed meanwhile is put right
	}
	s.pauses = standing
	s.sayPauses()
	return next
}

// sayPauses puts them into the status, and what commits suspend; the log says what
// is new of it.
func (s *session) sayPauses() {
	all := s.allPauses()
	s.rec.update(func(st *Status, _ time.Time) {
		for _, p := range all {
			if !slices.ContainsFunc(st.Paused, p.same) {
				s.Log.Info("pause begins", p.attrs()...)
			}
		}
		for _, p := range st.Paused {
			if !slices.ContainsFunc(all, p.same) {
				s.Log.Info("pause is over", "layer", p.Layer)
			}
		}
		st.Paused = all
	})
}

func (p Pause) same(o Pause) bool {
	return p.Layer == o.Layer && p.Until.Equal(o.Until) && p.Reason == o.Reason
}

func (p Pause) attrs() []any {
	attrs := []any{"layer", p.Layer, "until", p.Until.Format(time.RFC3339), "reason", p.Reason}
	if p.By != nil {
		attrs = append(attrs, "by", fmt.Sprintf("%s:%d", p.By.File, p.By.Line))
	}
	return attrs
}

func (s *session) allPauses() []Pause {
	var all []Pause
	for _, o := range s.pauses {
		all = append(all, pauseOf(o))
	}
	return append(all, s.suspended...)
}

// paused returns the pause of a layer, or of all if it is empty; nil if there is none.
func (s *session) paused(layer string) *Pause {
	all := s.allPauses()
	i := slices.IndexFunc(all, func(p Pause) bool { return p.Layer == layer })
	if i < 0 {
		return nil
	}
	return &all[i]
}

// stays says why layers stay as last confirmed, by their digest.
func (s *session) stays(desired []render.Layer) map[string]string {
	why := map[string]string{}
	for _, v := range s.verdicts.list {
		why[v.Digest] = v.Why
	}
	for _, l := range desired {
		old := s.confirmedLayer(l.Name)
		if p := s.paused(l.Name); p != nil && (old == nil || old.Digest != l.Digest) {
			why[l.Digest] = p.String()
		}
	}
	return why
}

// touchable leaves out the layers that are paused.
func (s *session) touchable(layers []render.Layer) []render.Layer {
	return known(slices.DeleteFunc(layers, func(l render.Layer) bool { return s.paused(l.Name) != nil }))
}
