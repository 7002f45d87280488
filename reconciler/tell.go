package reconciler

import (
	"fmt"
	"strings"

	"github.com/holdfast-fleet/holdfast/render"
)

// The reasons of the Events that the agent leaves on objects, for people who look at
// the cluster and not at the host.
const (
	ReasonApplied       = "Applied"       // made or changed, by which revision
	ReasonApplyFailed   = "ApplyFailed"   // refused by the API server
	ReasonNotHealthy    = "NotHealthy"    // not in the time that its layer has
	ReasonDriftRepaired = "DriftRepaired" // somebody had changed or deleted it
	ReasonHeld          = "Held"          // it should be deleted, and that takes intent
	ReasonRolledBack    = "RolledBack"    // its layer goes back to what was last confirmed
)

// tellApplied leaves Events on what a layer made or changed.
func (s *session) tellApplied(t target, l render.Layer, changes []Change) {
	for _, c := range changes {
		switch c.Action {
		case Created, Updated, Recreated:
			s.cluster.Event(Event{Object: c.Object, Reason: ReasonApplied, Message: fmt.Sprintf("%s by layer %s of revision %.12s, signed by %s", c.Action, l.Name, t.Commit.Revision, t.Commit.Signer)})
		}
	}
}

// tellFailed leaves Events on the objects for which a layer failed.
func (s *session) tellFailed(l render.Layer, err error) {
	for i, o := range troubles(err) {
		if i == maxTroubles {
			return
		}
		e := Event{Object: o.Object, Warning: true, Reason: ReasonNotHealthy, Message: fmt.Sprintf("layer %s: %s: %s", l.Name, o.State, o.Why)}
		if o.State == Refused {
			e.Reason, e.Message = ReasonApplyFailed, fmt.Sprintf("layer %s: %s", l.Name, o.Why)
		}
		s.cluster.Event(e)
	}
}

// tellRepaired leaves Events on what somebody had changed.
func (s *session) tellRepaired(l render.Layer, found Drift, changes []Change) {
	for _, c := range changes {
		what := "it differed from layer " + l.Name
		for _, d := range found.Objects {
			switch {
			case d.Object.id() != c.Object.id():
			case d.Fight != "":
				what = d.Fight
			case d.Gone:
				what = "somebody had deleted it"
			case d.By != "" && len(d.Fields) > 0:
				what = d.By + " had changed " + strings.Join(d.Fields, ", ")
			case d.By != "":
				what = d.By + " had changed it"
			}
		}
		s.cluster.Event(Event{Object: c.Object, Warning: true, Reason: ReasonDriftRepaired, Message: what})
	}
}

// tellHeld leaves an Event on what is not deleted yet.
func (s *session) tellHeld(h HeldObject) {
	s.cluster.Event(Event{Object: h.Object, Warning: true, Reason: ReasonHeld, Message: fmt.Sprintf("layer %s does not list it any more, but %s; %s", h.Layer, h.Why, h.Do)})
}
