package review

import (
	"context"
	"encoding/json"

	"github.com/holdfast-fleet/holdfast/render"
)

// Server is an API server that nobody else uses, and that has nothing on it yet.
type Server interface {
	// Version is that of its Kubernetes: v1.36.3.
	Version(ctx context.Context) (string, error)
	// Apply applies layers one after the other, as a host does, and says what
	// became of each object. Its error says that the server cannot be used.
	Apply(ctx context.Context, site string, layers []render.Layer) ([]Outcome, error)
	// Remove deletes the objects of a layer, as far as they are there.
	Remove(ctx context.Context, site string, layer render.Layer) error
	Close() error
}

// Outcome is what an API server made of one object; without a kind, of a layer
// that it was not even given.
type Outcome struct {
	Layer, APIVersion, Kind, Namespace, Name string

	Live     json.RawMessage // as the server has it, but for what is its own business; nil if it was refused
	Warnings []string
	Refused  string // why
	Hint     string // what to do about that
	Recreate bool   // it was refused because a live object cannot be changed like that
	Missing  bool   // it was refused because its kind or its namespace is not there
	Untried  string // why this server does not tell what another would
}

// Served is what API servers said of the changes.
type Served struct {
	Version    string    `json:"version,omitempty"` // of their Kubernetes; empty if none was needed
	Renderings int       `json:"renderings"`        // that differ from each other
	Tried      int       `json:"tried"`             // of these
	Untried    []string  `json:"untried"`           // sites of the others
	Notes      []string  `json:"notes"`
	Findings   []Finding `json:"findings"`
}

// Finding is one thing that API servers said, and for which sites.
type Finding struct {
	Kind     FindingKind `json:"kind"`
	Object   string      `json:"object"` // "Deployment shop/web"
	Layer    string      `json:"layer"`
	File     string      `json:"file,omitempty"` // that the object stands in
	Line     int         `json:"line,omitempty"`
	Message  string      `json:"message,omitempty"`
	Hint     string      `json:"hint,omitempty"`
	Old      bool        `json:"old,omitempty"`      // it is said of base, too
	Recreate bool        `json:"recreate,omitempty"` // the object must be deleted and made anew
	Fields   []Field     `json:"fields,omitempty"`   // that differ between the objects as the server has them
	Sites    []string    `json:"sites"`              // that it is known for; sorted
}

// FindingKind says what was said.
type FindingKind string

// The kinds, the gravest first.
const (
	Refused  FindingKind = "refused"
	Warned   FindingKind = "warning"
	Untried  FindingKind = "untried"   // this server cannot judge it
	Live     FindingKind = "live"      // how it changes, with what the server fills in
	NoEffect FindingKind = "no-effect" // what is declared changes, what runs does not
	MadeAnew FindingKind = "made-anew" // it cannot be changed while it lives, and may be deleted
)

var findingKinds = []FindingKind{Refused, MadeAnew, Warned, Untried, Live, NoEffect}

// Refusals counts the objects that are refused at head and were not at base.
func (s *Served) Refusals() int {
	if s == nil {
		return 0
	}
	objects := map[string]bool{}
	for _, f := range s.Findings {
		if f.Kind == Refused && !f.Old {
			objects[f.Layer+" "+f.Object] = true
		}
	}
	return len(objects)
}
