package gitsource

import (
	"strings"
	"time"
)

// SourceState is how a source was when it was last asked. The bundle folders are
// one source.
type SourceState struct {
	Name    string    `json:"name"`              // URL without credentials; or the folders
	Asked   time.Time `json:"asked,omitzero"`    // when the last answer came, or the last error
	Heard   time.Time `json:"heard,omitzero"`    // when the last answer came
	Next    time.Time `json:"next,omitzero"`     // when it is asked again
	Problem string    `json:"problem,omitempty"` // why it did not answer when it was last asked
}

// Same tells whether two states differ in nothing but times.
func (s SourceState) Same(other SourceState) bool {
	return s.Name == other.Name && s.Problem == other.Problem && s.Asked.IsZero() == other.Asked.IsZero()
}

// Sources says how each source is.
func (r *Repository) Sources() []SourceState {
	r.mu.Lock()
	defer r.mu.Unlock()
	list := make([]SourceState, len(r.pollers))
	for i, p := range r.pollers {
		list[i] = SourceState{Name: p.name, Asked: whole(p.asked), Heard: whole(p.heard), Next: whole(p.next)}
		if p.name == "" {
			list[i].Name = strings.Join(r.bundles, ", ")
		}
		if p.err != nil {
			list[i].Problem = strings.TrimPrefix(p.err.Error(), "fetch "+p.name+": ")
		}
	}
	return list
}

// whole is as precise as people want to know.
func whole(t time.Time) time.Time {
	if t.IsZero() {
		return t
	}
	return t.UTC().Truncate(time.Second)
}

func (r *Repository) asksAgain(p *poller, at time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	p.next = at
}
