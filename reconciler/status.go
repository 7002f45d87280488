package reconciler

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/holdfast-fleet/holdfast/gitsource"
	"github.com/holdfast-fleet/holdfast/selfupdate"
)

// StatusFile is the name of the status in the agent's data folder.
const StatusFile = "status.json"

// Phase is a step of the line that data runs along.
type Phase string

// The phases, in order.
const (
	PhaseSource    Phase = "source"
	PhaseVerify    Phase = "verify"
	PhaseAgent     Phase = "agent" // is it the one that the revision names?
	PhaseLoad      Phase = "load"
	PhaseRender    Phase = "render"
	PhaseBootstrap Phase = "bootstrap"
	PhaseApply     Phase = "apply"
	PhaseConfirm   Phase = "confirm"
)

var phases = []Phase{PhaseSource, PhaseVerify, PhaseAgent, PhaseLoad, PhaseRender, PhaseBootstrap, PhaseApply, PhaseConfirm}

// Phases lists them in order.
func Phases() []Phase { return slices.Clone(phases) }

// Status is what a host runs and why, as of UpdatedAt. It is written for
// people and programs to read; the agent itself decides nothing by it.
type Status struct {
	Host        string        `json:"host,omitempty"` // empty until registered
	Site        string        `json:"site,omitempty"`
	Fingerprint string        `json:"fingerprint"` // of the host's public key
	Agent       AgentStatus   `json:"agent"`
	Accepted    *Commit       `json:"accepted,omitempty"`   // the floor: the newest verified revision
	Confirmed   *Commit       `json:"confirmed,omitempty"`  // the revision that was applied and became healthy
	Leader      string        `json:"leader,omitempty"`     // the host of the site that applies, if it is another
	Phase       Phase         `json:"phase"`                // being worked on, or the last one finished
	Settled     bool          `json:"settled"`              // nothing left to do for the accepted revision
	Since       time.Time     `json:"since"`                // of Phase and Settled
	Next        *Next         `json:"next,omitempty"`       // what the agent does by itself, and when
	Receiving   string        `json:"receiving,omitempty"`  // how far a source is that is being read, once that takes long
	Stale       *Stale        `json:"stale,omitempty"`      // nothing new is heard of the fleet
	Unreleased  int           `json:"unreleased,omitempty"` // commits after Accepted that wait for a release
	Kubeconfig  string        `json:"kubeconfig,omitempty"` // path of the agent's, once the cluster is up
	Layers      []LayerStatus `json:"layers,omitempty"`

	Sources []gitsource.SourceState `json:"sources,omitempty"` // as last asked; written once a minute

	// Diverged are alarms: signed histories that part from each other.
	Diverged []*gitsource.Diverged `json:"diverged,omitempty"`

	Verdicts []Verdict `json:"verdicts,omitempty"` // layers that were put back, and are not tried until they change
	Paused   []Pause   `json:"paused,omitempty"`   // by a person on the host, or suspended by a commit
	Waiting  *Waiting  `json:"waiting,omitempty"`  // for a maintenance window

	Failures  []Failure    `json:"failures,omitempty"` // at most one a phase, in their order
	Held      []HeldObject `json:"held,omitempty"`     // should be deleted, but deleting them takes intent
	Fights    []Fight      `json:"fights,omitempty"`   // somebody changes what the agent repairs, again and again
	Repairs   int          `json:"repairs"`            // drifted objects put right since the agent started
	UpdatedAt time.Time    `json:"updatedAt"`          // comes last: what precedes it is compared

	steady steady // since when nothing was left to do, though all is looked at again now and then
}

// AgentStatus describes the process.
type AgentStatus struct {
	Version string    `json:"version"`
	PID     int       `json:"pid"`
	Process string    `json:"process,omitempty"` // which of all that had the pid
	Started time.Time `json:"started"`
	selfupdate.Status
}

// Commit names a revision.
type Commit struct {
	Revision string    `json:"revision"` // full commit id
	Signer   string    `json:"signer"`
	Since    time.Time `json:"since"` // accepted or confirmed

	// Cluster and Node are the digests of what was rendered of it; of Confirmed only.
	Cluster string `json:"cluster,omitempty"`
	Node    string `json:"node,omitempty"`

	// Reset says that a person on the host chose the revision; of Accepted only.
	Reset *gitsource.Override `json:"reset,omitempty"`
}

// LayerState says how far a layer got.
type LayerState string

// The states of a layer.
const (
	LayerPending  LayerState = "pending"  // waits for a layer that it depends on
	LayerApplying LayerState = "applying" // objects are being written
	LayerWaiting  LayerState = "waiting"  // written; not healthy yet
	LayerReady    LayerState = "ready"    // written, and healthy if it is waited for
	LayerFailed   LayerState = "failed"
	LayerBlocked  LayerState = "blocked" // a layer that it depends on failed
	LayerPaused   LayerState = "paused"  // left alone, as a person said
	LayerKept     LayerState = "kept"    // as last confirmed, because the new one, or what it depends on, is bad
)

// LayerStatus is one layer's part of the status.
type LayerStatus struct {
	Name    string     `json:"name"`
	State   LayerState `json:"state"`
	Digest  string     `json:"digest"`
	Objects int        `json:"objects"`
	Message string     `json:"message,omitempty"`
	Since   time.Time  `json:"since"`

	Failing  time.Time `json:"failing,omitzero"`   // since when it has failed whenever it was tried
	Troubles []Trouble `json:"troubles,omitempty"` // the first objects that are not as they should be
	More     int       `json:"more,omitempty"`     // how many there are beside Troubles

	ready time.Time // since when, though it is looked at again now and then
}

// Failure is why a phase did not get further. It goes when the phase succeeds.
type Failure struct {
	Phase   Phase     `json:"phase"`
	Message string    `json:"message"`
	Hint    string    `json:"hint,omitempty"` // a line for each thing that can be done
	Since   time.Time `json:"since"`
}

// Condition is what there is to say of a host in one word.
type Condition string

// The conditions.
const (
	Healthy Condition = "healthy" // it runs the newest revision that it knows of, or that its maintenance windows let it run
	Working Condition = "working" // it is on its way there
	Failing Condition = "failing" // something keeps it from there, or is an alarm
)

// Condition sums the status up.
func (s Status) Condition() Condition {
	switch {
	case len(s.Failures)+len(s.Diverged) > 0, s.Stale != nil,
		slices.ContainsFunc(s.Layers, func(l LayerStatus) bool { return l.State == LayerFailed }):
		return Failing
	case !s.Settled && s.Waiting == nil:
		return Working
	}
	return Healthy
}

// Healthy says whether the host runs the newest revision that it knows of, or that
// its maintenance windows let it run, with nothing failing.
func (s Status) Healthy() bool { return (s.Settled || s.Waiting != nil) && len(s.Failures) == 0 }

// ReadStatus returns the status last written to the agent's data folder.
func ReadStatus(dir string) (Status, error) {
	path := filepath.Join(dir, StatusFile)
	data, err := os.ReadFile(path)
	if err != nil {
		return Status{}, fmt.Errorf("read status: %w", err)
	}
	var s Status
	if err := json.Unmarshal(data, &s); err != nil {
		return Status{}, fmt.Errorf("read status %s: %w", path, err)
	}
	return s, nil
}

func (s *Status) enter(p Phase, now time.Time) {
	if s.Phase != p || s.Settled {
		s.Phase, s.Settled, s.Since = p, false, now
	}
}

// steady is a revision, and since when nothing is left to do for it.
type steady struct {
	revision string
	since    time.Time
}

// settle says that nothing is left to do for what is confirmed.
func (s *Status) settle(now time.Time) {
	if s.Settled {
		return
	}
	if s.Confirmed == nil || s.steady.revision != s.Confirmed.Revision {
		s.steady = steady{since: now}
	}
	if s.Confirmed != nil {
		s.steady.revision = s.Confirmed.Revision
	}
	s.Settled, s.Since = true, s.steady.since
}

func (s *Status) fail(p Phase, message, hint string, now time.Time) {
	if p != PhaseSource && p != PhaseVerify {
		s.steady = steady{}
	}
	i := slices.IndexFunc(s.Failures, func(f Failure) bool { return f.Phase == p })
	if i >= 0 {
		if s.Failures[i].Message != message {
			s.Failures[i] = Failure{p, message, hint, now}
		}
		return
	}
	s.Failures = append(s.Failures, Failure{p, message, hint, now})
	slices.SortFunc(s.Failures, func(a, b Failure) int {
		return slices.Index(phases, a.Phase) - slices.Index(phases, b.Phase)
	})
}

// clear forgets that a phase failed, and tells whether it had.
func (s *Status) clear(p Phase) bool {
	before := len(s.Failures)
	s.Failures = slices.DeleteFunc(s.Failures, func(f Failure) bool { return f.Phase == p })
	return len(s.Failures) < before
}

func (s *Status) layer(name string, state LayerState, message string, now time.Time) {
	i := slices.IndexFunc(s.Layers, func(l LayerStatus) bool { return l.Name == name })
	if i < 0 || s.Layers[i].State == state && s.Layers[i].Message == message {
		return
	}
	l := &s.Layers[i]
	if l.State != state {
		l.Since = now
	}
	l.State, l.Message = state, message
	switch state {
	case LayerFailed:
		l.ready = time.Time{}
		if l.Failing.IsZero() {
			l.Failing = now
		}
	case LayerReady:
		if l.ready.IsZero() {
			l.ready = now
		}
		l.Since = l.ready
		fallthrough
	case LayerKept, LayerPaused:
		l.Failing, l.Troubles, l.More = time.Time{}, nil, 0
	}
}
