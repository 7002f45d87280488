package gitsource

import (
	"errors"
	"fmt"
	"slices"

	"github.com/go-git/go-git/v5/plumbing"
)

// errBehind reports a pull request whose approvals would not cover its merge.
var errBehind = errors.New("it does not build on the branch that it is for")

// Merged judges head as a pull request for base: what hosts say if a forge merges
// or squashes it, whoever signs that. Approvals of head count, the signatures of
// its commits do not. In releases mode nothing is asked for before the release;
// the verdict then says who will have to sign that; a head that is released
// already is judged as that release.
func (a *Audit) Merged(base, head string) (Verdict, error) {
	from, err := a.commit(base)
	if err != nil {
		return Verdict{}, err
	}
	c, err := a.commit(head)
	if err != nil {
		return Verdict{}, err
	}
	v, err := a.merged(from, c)
	if err != nil {
		return v, fmt.Errorf("check %s..%s: %w", clip(base), clip(head), shallow(err))
	}
	return v, nil
}

func (a *Audit) merged(base, head *commit) (Verdict, error) {
	v := Verdict{Commit: head.hash.String(), Base: base.hash.String(), Subject: head.subject(), Mode: "commit", Warning: a.tooNew(head)}
	reached, err := a.reached(base.hash)
	if err != nil {
		return v, err
	}
	folder, err := a.court.trustOf(base.tree)
	if err != nil {
		return v, fmt.Errorf("the trust folder of %.12s: %w", base.hash, err)
	}
	if folder.policy.Releases() && len(a.court.tags.releases(head.hash, folder.policy)) > 0 {
		return a.explain(head)
	}
	at := latest(head.time, reached.Bound)
	h := &hearing{folder: folder}
	for _, t := range a.court.tags.approvals(head.hash) {
		h.vouchers = append(h.vouchers, a.court.weighTag(folder, t, at))
	}
	fork, err := a.court.store.fork(base, head)
	if err != nil {
		return v, err
	}
	if err := h.decide(a.court.store, fork.tree, head.tree); err != nil {
		return v, err
	}
	if len(h.paths) == 0 && len(h.vouchers) == 0 {
		h.refusal = nil // there is nothing to merge
	}
	if folder.policy.Releases() {
		v.Mode, v.Waits, h.refusal = "releases", true, nil
	}
	if err := a.court.leaves(h, head, at); err != nil {
		return v, err
	}
	if !v.Waits && fork.hash != base.hash {
		h.refusal = &hinted{errBehind, "merge " + base.hash.String()[:12] + " into it, or rebase it; then have the new head approved"}
	}
	v.take(h)
	return v, nil
}

// Pushed judges each commit after base up to head as it stands, oldest first: what
// hosts say if the branch is moved from base to head.
func (a *Audit) Pushed(base, head string) ([]Verdict, error) {
	line, err := a.Line(base, head)
	if err != nil {
		return nil, err
	}
	var list []Verdict
	for _, c := range line {
		v, err := a.Explain(c)
		if err != nil {
			return nil, err
		}
		list = append(list, v)
	}
	return list, nil
}

// Line lists the commits after base on the first-parent line of head, oldest first, in hex.
func (a *Audit) Line(base, head string) ([]string, error) {
	from, err := a.commit(base)
	if err != nil {
		return nil, err
	}
	c, err := a.commit(head)
	if err != nil {
		return nil, err
	}
	var line []string
	for c.hash != from.hash {
		if line = append(line, c.hash.String()); len(c.parents) == 0 {
			return nil, fmt.Errorf("%s is not on the first-parent line of %s", clip(base), clip(head))
		}
		if c, err = a.court.store.commit(c.parents[0]); err != nil {
			return nil, shallow(err)
		}
	}
	slices.Reverse(line)
	return line, nil
}

// fork is the nearest commit of head's history that is base or before it.
func (s *store) fork(base, head *commit) (*commit, error) {
	before, err := s.walk(base, nil)
	if err != nil {
		return nil, err
	}
	var fork *commit
	if _, err := s.walk(head, func(c *commit) bool {
		if before[c.hash] {
			fork = c
		}
		return fork != nil
	}); err != nil {
		return nil, err
	}
	if fork == nil {
		return nil, &hinted{errors.New("they have no history in common"), "compare the two as they are: BASE..HEAD; or, if the clone is shallow, git fetch --unshallow --tags"}
	}
	return fork, nil
}

// walk visits a commit and those before it, nearest first, until stop.
func (s *store) walk(from *commit, stop func(*commit) bool) (map[plumbing.Hash]bool, error) {
	queue, seen := []*commit{from}, map[plumbing.Hash]bool{from.hash: true}
	for len(queue) > 0 {
		c := queue[0]
		queue = queue[1:]
		if stop != nil && stop(c) {
			break
		}
		for _, h := range c.parents {
			if seen[h] {
				continue
			}
			seen[h] = true
			parent, err := s.commit(h)
			if err != nil {
				return nil, err
			}
			queue = append(queue, parent)
		}
	}
	return seen, nil
}
