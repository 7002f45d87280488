package gitsource

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/go-git/go-git/v5/plumbing"

	"github.com/holdfast-fleet/holdfast/trust"
)

// ErrDiverged reports two histories, neither of which holds the other, and both
// vouched for by somebody whom the host trusts.
var ErrDiverged = errors.New("two signed histories diverge")

// Diverged is an alarm: somebody who may sign has signed two histories. The host
// stays where it is.
type Diverged struct {
	Fork  string `json:"fork,omitempty"` // newest commit that both hold, in hex; empty if there is none
	Ours  Side   `json:"ours"`           // that this host is at, or that was heard of first
	Other Side   `json:"other"`
}

// Side is one of two histories.
type Side struct {
	Source string       `json:"source,omitempty"` // empty if that is forgotten
	Commit string       `json:"commit"`           // newest that is vouched for, in hex
	Signer trust.Signer `json:"signer"`
}

func (s Side) String() string { return fmt.Sprintf("%.12s signed by %s", s.Commit, s.Signer.Name) }

func (d *Diverged) Error() string {
	fork := "and have no commit in common that counts"
	if d.Fork != "" {
		fork = fmt.Sprintf("after %.12s", d.Fork)
	}
	from := ""
	if d.Ours.Source != "" {
		from = " from " + d.Ours.Source
	}
	return fmt.Sprintf("%s: %s%s, and %s, %s", ErrDiverged, d.Ours, from, d.Other, fork)
}

// Is tells that every alarm is an ErrDiverged, and one against the floor an
// ErrRewritten, too.
func (d *Diverged) Is(target error) bool {
	return target == ErrDiverged || target == ErrRewritten && d.Ours.Source == ""
}

// Hint says how the histories become one again.
func (d *Diverged) Hint() string {
	if d.Ours.Source == "" {
		return fmt.Sprintf("ask who signed the other one; hosts are at %.12s, so put what is missing on top of it in every source; to follow the other one, run on the host: holdfast trust reset --to %.12s…", d.Ours.Commit, d.Other.Commit)
	}
	return "ask who signed which; hosts take neither until every source shows the same one; or, on a host, stop the agent and run: holdfast trust reset --to COMMIT"
}

// Alarms lists what is alarming in an error of [Repository.Verify].
func Alarms(err error) []*Diverged {
	switch e := err.(type) { //nolint:errorlint // it walks the whole tree itself
	case *Diverged:
		return []*Diverged{e}
	case interface{ Unwrap() error }:
		return Alarms(e.Unwrap())
	case interface{ Unwrap() []error }:
		var list []*Diverged
		for _, part := range e.Unwrap() {
			list = append(list, Alarms(part)...)
		}
		return list
	}
	return nil
}

// alarm logs each alarm once, as long as it lasts.
func (r *Repository) alarm(list []*Diverged) {
	now := make(map[string]bool)
	for _, d := range list {
		if now[d.Error()] = true; !r.alarms[d.Error()] {
			r.log.Error("signed histories diverge", slog.String("fork", d.Fork), slog.String("commit", d.Ours.Commit), slog.String("signer", d.Ours.Signer.String()),
				slog.String("other", d.Other.Commit), slog.String("other signer", d.Other.Signer.String()), slog.String("source", d.Other.Source))
		}
	}
	r.alarms = now
}

// over reads what s does not hold from base.
func (s *store) over(base *store) *store {
	return &store{dir: s.dir, disk: s.disk, git: s.git, under: base}
}

// maxFork is how many commits after a fork are looked at.
const maxFork = 1000

// split finds the newest commit on the first-parent lines of both a and b, nil if
// there is none, and the first maxFork commits after it up to b, oldest first.
func (s *store) split(a, b plumbing.Hash) (*commit, []*commit, error) {
	known := make(map[plumbing.Hash]bool)
	for h := a; ; {
		known[h] = true
		c, err := s.commit(h)
		if err != nil {
			return nil, nil, err
		}
		if len(c.parents) == 0 {
			break
		}
		h = c.parents[0]
	}
	var after []plumbing.Hash // newest first
	h := b
	for !known[h] {
		c, err := s.commit(h)
		if err != nil || len(c.parents) == 0 {
			return nil, nil, err
		}
		if after = append(after, h); len(after) > maxFork {
			after = after[1:]
		}
		h = c.parents[0]
	}
	fork, err := s.commit(h)
	if err != nil {
		return nil, nil, err
	}
	line := make([]*commit, len(after))
	for i, h := range after {
		if line[len(after)-1-i], err = s.commit(h); err != nil {
			return nil, nil, err
		}
	}
	return fork, line, nil
}

// forked says why a tip is refused that is not on the floor's line: it is an alarm
// if the trust folder at the fork lets the commits after it pass, and otherwise
// what anybody can make.
func (r *Repository) forked(objects *store, c *candidate) error {
	if !r.mirror.has(r.floor.hash()) {
		return ErrRewritten
	}
	fork, line, err := objects.split(r.floor.hash(), c.tip)
	if err != nil {
		return err
	}
	if fork == nil {
		return ErrRewritten
	}
	candidates := map[string]*candidate{"": c}
	for name, other := range r.candidates {
		candidates[name] = other
	}
	court := &court{store: objects, anchor: r.anchor, recovery: r.recover, trusts: make(map[plumbing.Hash]*trustFolder), tags: objects.index(candidates), limit: r.clock.limit()}
	at := court.floor(fork, trust.Signer{}, r.floor.Bound)
	var reached *floor
	for len(line) > 0 {
		to, steps, _, err := court.next(&at, line)
		if isDamage(err) {
			return err
		}
		if err != nil || to == nil {
			break
		}
		reached, at, line = to, *to, line[steps:]
	}
	if reached == nil {
		return ErrRewritten
	}
	return &Diverged{
		Fork: fork.hash.String(), Ours: Side{Commit: r.floor.Commit, Signer: r.floor.Signer},
		Other: Side{c.source, reached.Commit, reached.Signer},
	}
}

// advance raises the floor to the end of the longest line of steps, if no other
// line leaves it; else to where they part, and no further.
func (r *Repository) advance(list []*candidate, started time.Time) error {
	var heads []*candidate // whose steps are not the beginning of another's
	for _, c := range list {
		c.alarm = nil
		if c.at == r.floor.Commit && c.by == r.tags && len(c.steps) > 0 {
			heads = addHead(heads, c)
		}
	}
	if len(heads) == 0 {
		return nil
	}
	first, shared := heads[0], len(heads[0].steps)
	for _, other := range heads[1:] {
		n := together(first, other)
		shared = min(shared, n)
		fork := r.floor.Commit
		if n > 0 {
			fork = first.steps[n-1].Commit
		}
		d := &Diverged{Fork: fork, Ours: first.side(), Other: other.side()}
		first.alarm = &Refused{Source: other.source, Commit: d.Other.Commit, Reason: d}
		other.alarm = first.alarm
	}
	if shared == 0 {
		return nil
	}
	to := first.steps[shared-1]
	if err := r.raise(to, first, started); err != nil {
		return err
	}
	for _, c := range heads {
		c.steps, c.at = c.steps[shared:], to.Commit
	}
	return nil
}

func addHead(heads []*candidate, c *candidate) []*candidate {
	for i, h := range heads {
		switch n := together(h, c); {
		case n == len(c.steps):
			return heads
		case n == len(h.steps):
			heads[i] = c
			return heads
		}
	}
	return append(heads, c)
}

// together counts the steps that two candidates share.
func together(a, b *candidate) int {
	n := 0
	for n < len(a.steps) && n < len(b.steps) && a.steps[n].Commit == b.steps[n].Commit {
		n++
	}
	return n
}

func (c *candidate) side() Side {
	last := c.steps[len(c.steps)-1]
	return Side{c.source, last.Commit, last.Signer}
}

// meet decides about first contact: the first of those that the anchor vouches for,
// or, where another parts from it, what came before that the anchor vouches for, too.
func (r *Repository) meet(list []*candidate) error {
	var first *candidate
	var to *floor
	for _, c := range list {
		c.alarm = nil
		if c.by != r.tags || len(c.steps) == 0 {
			continue
		}
		if first == nil {
			first, to = c, &c.steps[0]
			continue
		}
		own := c.steps[0].hash()
		fork, _, err := r.mirror.split(to.hash(), own)
		if err != nil {
			return err
		}
		if fork != nil && (fork.hash == to.hash() || fork.hash == own) {
			continue // one holds the other
		}
		if to, err = r.court().before(fork); err != nil {
			return err
		}
		if to == nil {
			c.alarm = &Refused{Source: c.source, Commit: own.String(), Reason: &Diverged{Ours: first.side(), Other: c.side()}}
			first.alarm = c.alarm
			return nil
		}
	}
	if to == nil {
		return nil
	}
	return r.raise(*to, first, time.Now())
}

// before finds the newest commit from c on, backwards, that the anchor vouches
// for; c may be nil.
func (j *court) before(c *commit) (*floor, error) {
	for n := 0; c != nil && n < maxFork; n++ {
		first, err := j.contact(c)
		switch {
		case isDamage(err):
			return nil, err
		case first != nil:
			return first, nil
		case errors.Is(err, errNoRelease) || len(c.parents) == 0:
			return nil, nil
		}
		if c, err = j.store.commit(c.parents[0]); err != nil {
			return nil, err
		}
	}
	return nil, nil
}
