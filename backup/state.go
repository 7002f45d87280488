package backup

import (
	"errors"
	"path/filepath"
	"slices"
	"time"

	"github.com/holdfast-fleet/holdfast/durable"
	"github.com/holdfast-fleet/holdfast/fleet"
)

// State is how the backups of a host are, as of the last attempt.
type State struct {
	Last   *Taken    `json:"last,omitempty"`   // that this host took
	Failed *Failure  `json:"failed,omitempty"` // why the newest attempt came to nothing
	Sent   []Sent    `json:"sent,omitempty"`   // by target, as the fleet lists them
	Next   time.Time `json:"next,omitzero"`    // when one is due
}

// takenAt is when the last one was taken; zero if none was.
func (s State) takenAt() time.Time {
	if s.Last == nil {
		return time.Time{}
	}
	return s.Last.At
}

// sends tells whether something is to be sent again: what failed, or what is new in the plan.
func (s State) sends(plan fleet.Backup) bool {
	if s.Last == nil {
		return false
	}
	for _, t := range plan.To {
		i := slices.IndexFunc(s.Sent, func(o Sent) bool { return o.To == t.Name() })
		if i < 0 || s.Sent[i].Failed != nil {
			return true
		}
	}
	return false
}

// Taken is a backup that was taken.
type Taken struct {
	File     string    `json:"file"`
	At       time.Time `json:"at"`
	Size     int64     `json:"size"`
	Revision string    `json:"revision"`
}

// Failure is why something could not be done.
type Failure struct {
	At      time.Time `json:"at"` // since when
	Message string    `json:"message"`
	Hint    string    `json:"hint,omitempty"`
}

// Sent is what is known of a target.
type Sent struct {
	To     string    `json:"to"`
	File   string    `json:"file,omitempty"` // the newest of the site that is there
	At     time.Time `json:"at,omitzero"`    // when that was seen
	Count  int       `json:"count"`          // how many of the site are there
	Failed *Failure  `json:"failed,omitempty"`
}

// Dir is the folder of backups in an agent's data folder.
func Dir(dataDir string) string { return filepath.Join(dataDir, "backups") }

func stateFile(dir string) string { return filepath.Join(dir, "state.json") }

// ReadState returns how the backups of the host are, as written to the agent's data
// folder. It is the zero one where none was ever tried.
func ReadState(dataDir string) (State, error) {
	var s State
	_, err := durable.ReadJSON(stateFile(Dir(dataDir)), &s)
	return s, err
}

func (k *Keeper) writeState(s State) error {
	return k.Disk.WriteJSON(stateFile(k.Dir), s)
}

// failure says why, and since when if that is the same as before.
func failure(err error, before *Failure, now time.Time) *Failure {
	f := &Failure{At: now.UTC().Truncate(time.Second), Message: err.Error()}
	var hinted interface{ Hint() string }
	if errors.As(err, &hinted) {
		f.Hint = hinted.Hint()
	}
	if before != nil {
		f.At = before.At
	}
	return f
}
