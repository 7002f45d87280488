package reconciler

import (
	"fmt"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/holdfast-fleet/holdfast/durable"
	"github.com/holdfast-fleet/holdfast/fleet"
	"github.com/holdfast-fleet/holdfast/gitsource"
)

const begunFile = "begun.json"

// Waiting is that a newer revision is there, and waits for a maintenance window.
type Waiting struct {
	Revision string    `json:"revision"`
	Opens    time.Time `json:"opens"` // the window
}

// permit returns what the host may be brought to now: t, or, outside the site's
// maintenance windows, what it was brought to last; nil while all is suspended.
// soon is when that may be another; zero if only a commit or a person changes it.
func (s *session) permit(rev gitsource.Revision, t *target) (permitted *target, soon time.Time) {
	now := s.Now()
	if rev.Time().After(now) {
		now = rev.Time() // a clock that is behind what was signed already is wrong
	}
	s.suspended = nil
	for _, one := range t.Suspended {
		if !now.Before(one.Until) {
			continue
		}
		soon = sooner(soon, one.Until)
		for _, layer := range one.Layers {
			s.suspended = append(s.suspended, Pause{Layer: layer, Until: one.Until, Reason: one.Reason, By: &one.At})
		}
		if one.Of("") {
			s.suspended = append(s.suspended, Pause{Until: one.Until, Reason: one.Reason, By: &one.At})
		}
	}
	s.sayPauses()
	if s.paused("") != nil {
		return nil, soon
	}
	held := s.begun
	if held == nil {
		held = s.confirmed
	}
	open, until := t.Maintenance.At(now)
	waits := !open && !t.Urgent && held != nil && !held.same(t)
	s.rec.update(func(st *Status, _ time.Time) {
		before := st.Waiting
		if st.Waiting = nil; waits {
			st.Waiting = &Waiting{t.Commit.Revision, until}
		}
		if waits && (before == nil || *before != *st.Waiting) {
			s.Log.Info("revision waits for its maintenance window", "revision", rev.Short(), "opens", until.Format(time.RFC3339))
		}
	})
	if waits {
		return held, sooner(soon, until)
	}
	return t, soon
}

func sooner(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// same tells whether two targets bring a host to the same.
func (t *target) same(o *target) bool {
	return t.Desired.Cluster.Digest == o.Desired.Cluster.Digest && t.Desired.Node.Digest == o.Desired.Node.Digest
}

// begin keeps t, if it is a change of a site with maintenance windows: what was
// begun in one goes on after it, also if the power fails between.
func (s *session) begin(t *target) error {
	if len(t.Maintenance.Windows) == 0 || s.confirmed == nil || s.confirmed.same(t) {
		return s.forgetBegun()
	}
	if s.begun != nil && s.begun.same(t) {
		return nil
	}
	if err := s.Disk.WriteJSON(filepath.Join(s.Dir, begunFile), t); err != nil {
		return err
	}
	s.begun = t
	return nil
}

// forgetBegun is for what is confirmed, and what no window holds.
func (s *session) forgetBegun() error {
	if s.begun == nil {
		return nil
	}
	s.begun = nil
	if err := s.Disk.RemoveAll(filepath.Join(s.Dir, begunFile)); err != nil {
		return err
	}
	return s.Disk.SyncDir(s.Dir)
}

func loadBegun(dir string) (*target, error) {
	var t target
	found, err := durable.ReadJSON(filepath.Join(dir, begunFile), &t)
	if err != nil || !found {
		return nil, err
	}
	return &t, nil
}

// urgent tells whether a commit since the confirmed one says that its change is
// not to wait for this site's maintenance window.
func (s *session) urgent(rev gitsource.Revision, site *fleet.Site) bool {
	if s.confirmed == nil || len(site.Maintenance.Windows) == 0 {
		return false
	}
	said, err := rev.Since(s.confirmed.Commit.Revision)
	if err != nil {
		s.Log.Warn("what is urgent is not known: nothing is", "revision", rev.Short(), "since", s.confirmed.Commit.Revision, "error", err)
		return false
	}
	for key, value := range standing(said) {
		if key == trailerUrgent && slices.ContainsFunc(strings.Split(value, ","), func(one string) bool { return concerns(one, site) }) {
			return true
		}
	}
	return false
}

// concerns tells whether a site is among those that the value of Urgent: names:
// all, site <name>, profile <name> or group <folder>.
func concerns(value string, site *fleet.Site) bool {
	kind, name, _ := strings.Cut(strings.TrimSpace(value), " ")
	switch name = strings.TrimSpace(name); kind {
	case "all":
		return name == ""
	case "site":
		return name == site.Name
	case "profile":
		return name == site.Profile.Name
	case "group":
		return slices.Contains(site.Groups, path.Join("sites", strings.TrimPrefix(name, "sites/")))
	}
	return false
}

func (p Pause) String() string {
	text := "paused by a person"
	if p.By != nil {
		text = fmt.Sprintf("suspended by %s:%d", p.By.File, p.By.Line)
	}
	text += " until " + p.Until.Format(time.RFC3339)
	if p.Reason != "" {
		text += ": " + p.Reason
	}
	return text
}
