// Package selfupdate runs the agent from one of two slots, and tries a new program
// before it trusts it.
//
// The installed program starts first, always. It hands over to the program in
// the current slot, if there is one, and otherwise goes on itself.
//
//	Want     the new program is written into the free slot, a trial is noted, and
//	         the agent starts anew
//	Start    counts each start of a trial before it hands over to it
//	Proven   the new program loaded the revision that named it: its slot is current
//	Try      it did not, within [TrialTime] or a few starts: what was current runs
//	         again, and the new program is remembered as bad
//
// Every step is one write of state.json, so a power cut leaves the state before it
// or after it. The format of that file is frozen: programs of all versions read it.
package selfupdate

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/holdfast-fleet/holdfast/durable"
)

// ErrRestart says that the agent must end what it does and start anew, as
// another program.
var ErrRestart = errors.New("the agent starts anew as another program")

// TrialTime is how long a new program has to load a revision, from its start.
const TrialTime = 5 * time.Minute

const (
	stateFile    = "state.json"
	maxState     = 64 << 10 // bytes
	maxStarts    = 3        // of a trial since the machine was booted
	maxAllStarts = 10       // of a trial, power cuts included
	maxBad       = 8        // programs that are remembered
)

// Program names the bytes of an agent.
type Program struct {
	Version string `json:"version"`
	Digest  string `json:"digest"` // sha256:…
}

// Verdict is why a program is not tried again.
type Verdict struct {
	Program
	Revision string    `json:"revision"` // that named it
	Why      string    `json:"why"`
	At       time.Time `json:"at"`
	// Excused says that the program before could not load the revision either: it
	// is tried again with another one.
	Excused bool `json:"excused,omitempty"`
}

// Slots is the agent's folder of programs.
type Slots struct {
	Dir  string
	Disk durable.Disk
}

// state is what state.json holds.
type state struct {
	Current *slot     `json:"current,omitempty"` // nil: the installed program
	Trial   *trial    `json:"trial,omitempty"`
	Bad     []Verdict `json:"bad,omitempty"` // the newest last
}

// slot is a program in a slot.
type slot struct {
	Program
	Slot string `json:"slot"` // a or b
}

// trial is a program that is not trusted yet.
type trial struct {
	slot
	Revision string `json:"revision"` // that named it
	Boot     string `json:"boot"`     // of the machine, at its last start
	Starts   int    `json:"starts"`   // since Boot
	All      int    `json:"all"`      // starts ever
}

// free is the slot that the current program is not in.
func (st state) free() string {
	if st.Current != nil && st.Current.Slot == "a" {
		return "b"
	}
	return "a"
}

// verdict finds what is known of a program.
func (st state) verdict(digest string) *Verdict {
	i := slices.IndexFunc(st.Bad, func(v Verdict) bool { return v.Digest == digest })
	if i < 0 {
		return nil
	}
	return &st.Bad[i]
}

// condemn ends the trial.
func (st state) condemn(why string, now time.Time) state {
	bad := slices.DeleteFunc(slices.Clone(st.Bad), func(v Verdict) bool { return v.Digest == st.Trial.Digest })
	bad = append(bad, Verdict{Program: st.Trial.Program, Revision: st.Trial.Revision, Why: why, At: now.UTC().Truncate(time.Second)})
	return state{Current: st.Current, Bad: bad[max(0, len(bad)-maxBad):]}
}

func (s Slots) path(name string) string { return filepath.Join(s.Dir, "holdfast-"+name) }

// load reads the state; there is none on a host that was never updated. A file
// that makes no sense is an error, and the installed program's turn.
func (s Slots) load() (state, error) {
	path := filepath.Join(s.Dir, stateFile)
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return state{}, nil
	}
	if err != nil {
		return state{}, err
	}
	if info.Size() > maxState {
		return state{}, fmt.Errorf("%s has %d bytes, more than %d", path, info.Size(), maxState)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return state{}, err
	}
	st, err := parseState(data)
	if err != nil {
		return state{}, fmt.Errorf("%s: %w", path, err)
	}
	return st, nil
}

func parseState(data []byte) (state, error) {
	var st state
	if err := json.Unmarshal(data, &st); err != nil {
		return state{}, err
	}
	var slots []slot
	if st.Current != nil {
		slots = append(slots, *st.Current)
	}
	if st.Trial != nil {
		slots = append(slots, st.Trial.slot)
	}
	for _, sl := range slots {
		if sl.Slot != "a" && sl.Slot != "b" || !strings.HasPrefix(sl.Digest, "sha256:") {
			return state{}, fmt.Errorf("slot %q with %q is none", sl.Slot, sl.Digest)
		}
	}
	if len(slots) == 2 && slots[0].Slot == slots[1].Slot {
		return state{}, fmt.Errorf("slot %s is both current and on trial", slots[0].Slot)
	}
	return st, nil
}

func (s Slots) save(st state) error {
	data, err := json.MarshalIndent(st, "", "  ")
	if err != nil {
		return err
	}
	return s.Disk.WriteFile(filepath.Join(s.Dir, stateFile), append(data, '\n'), 0o600)
}
