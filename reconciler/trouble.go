package reconciler

import (
	"context"
	"slices"
	"time"

	"github.com/holdfast-fleet/holdfast/render"
)

// maxTroubles is how many objects of a layer the status names.
const maxTroubles = 20

// Trouble is an object of a layer that is not as it should be.
type Trouble struct {
	Object
	State string    `json:"state"` // InProgress, Failed, NotFound, Terminating, Unknown as in kstatus; or Refused
	Why   string    `json:"why"`
	Hint  string    `json:"hint,omitempty"`
	Since time.Time `json:"since"` // in this state
}

// Refused is the state of an object that the API server did not take.
const Refused = "Refused"

// Fight is an object that somebody changes back whenever the agent has repaired it.
type Fight struct {
	Object
	Layer string    `json:"layer"`
	Why   string    `json:"why"` // who changes what, and how seldom it is repaired now
	Since time.Time `json:"since"`

	over time.Time // unless it drifts before
}

// troubles lists the objects that an error speaks of.
func troubles(err error) []Trouble {
	switch e := err.(type) { //nolint:errorlint // it walks the whole tree itself
	case *UnhealthyError:
		return unhealthyTroubles(e.Objects)
	case *ObjectError:
		return []Trouble{{Object: e.Object, State: Refused, Why: e.Reason, Hint: e.Tip}}
	case interface{ Unwrap() error }:
		return troubles(e.Unwrap())
	case interface{ Unwrap() []error }:
		var list []Trouble
		for _, part := range e.Unwrap() {
			list = append(list, troubles(part)...)
		}
		return list
	}
	return nil
}

func unhealthyTroubles(objects []Unhealthy) []Trouble {
	list := make([]Trouble, len(objects))
	for i, o := range objects {
		list[i] = Trouble{Object: o.Object, State: o.Status, Why: o.Why, Hint: o.Tip}
	}
	return list
}

// troubled notes which objects of a layer are not as they should be.
func (s *Status) troubled(layer string, list []Trouble, now time.Time) {
	i := slices.IndexFunc(s.Layers, func(l LayerStatus) bool { return l.Name == layer })
	if i < 0 {
		return
	}
	l := &s.Layers[i]
	list = slices.Clone(list)
	slices.SortFunc(list, func(a, b Trouble) int { return compareObjects(a.Object, b.Object) })
	l.More = max(0, len(list)-maxTroubles)
	list = list[:len(list)-l.More]
	for n := range list {
		list[n].Since = now
		known := slices.IndexFunc(l.Troubles, func(t Trouble) bool { return t.Object == list[n].Object && t.State == list[n].State })
		if known >= 0 {
			list[n].Since = l.Troubles[known].Since
		}
	}
	l.Troubles = list
}

type lookKey struct{}

// WithLooks returns a context in which Wait of a [Cluster] tells which objects are
// not healthy yet, whenever it looked.
func WithLooks(ctx context.Context, told func([]Unhealthy)) context.Context {
	return context.WithValue(ctx, lookKey{}, told)
}

// Looked tells whoever asked by [WithLooks].
func Looked(ctx context.Context, left func() []Unhealthy) {
	if told, ok := ctx.Value(lookKey{}).(func([]Unhealthy)); ok {
		told(left())
	}
}

// looking shows in the status what a layer waits for.
func (s *session) looking(ctx context.Context, l render.Layer) context.Context {
	return WithLooks(ctx, func(left []Unhealthy) {
		s.rec.update(func(st *Status, now time.Time) { st.troubled(l.Name, unhealthyTroubles(left), now) })
	})
}

// fought notes which objects of a layer somebody fights over; those that drifted
// otherwise are at peace again.
func (s *Status) fought(found Drift, now time.Time) {
	for _, d := range found.Objects {
		at := slices.IndexFunc(s.Fights, func(f Fight) bool { return f.id() == d.Object.id() })
		switch {
		case d.Fight == "" && at >= 0:
			s.Fights = slices.Delete(slices.Clone(s.Fights), at, at+1)
		case d.Fight != "" && at < 0:
			s.Fights = append(slices.Clip(s.Fights), Fight{d.Object, found.Layer, d.Fight, now, now.Add(d.Peace)})
		case d.Fight != "":
			s.Fights = slices.Clone(s.Fights)
			s.Fights[at].Why, s.Fights[at].over = d.Fight, now.Add(d.Peace)
		}
	}
}

// calmed ends the fights over objects that did not drift for long enough.
func (s *Status) calmed(now time.Time) {
	s.Fights = slices.DeleteFunc(slices.Clone(s.Fights), func(f Fight) bool { return now.After(f.over) })
}
