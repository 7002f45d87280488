package gitsource

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/go-git/go-git/v5/plumbing"

	"github.com/holdfast-fleet/holdfast/trust"
)

// Verify returns the newest trustworthy revision of all sources: at least the
// floor, which it raises on disk before it returns. The error joins a [*Refused]
// for each source whose tip is not acted upon; it may stand beside a good
// revision. The revision is zero if nothing was ever accepted, or if the mirror
// does not hold the floor.
func (r *Repository) Verify(ctx context.Context) (Revision, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.floorErr != nil {
		return Revision{}, r.floorErr
	}
	errs, err := r.judgeAll(ctx)
	if err != nil {
		reset := r.resetMirror(err)
		return Revision{}, errors.Join(fmt.Errorf("verify: the mirror is damaged and is filled again by the next fetch: %w", err), reset)
	}
	switch {
	case r.floor == nil && len(errs) == 0:
		return Revision{}, errors.New("verify: no source has delivered a revision yet")
	case r.floor == nil:
		return Revision{}, errors.Join(errs...)
	case !r.mirror.has(r.floor.hash()), r.floor.pending():
		errs = append(errs, fmt.Errorf("verify: floor %s is not in the mirror, and no source has brought it back", r.floor.Commit[:12]))
		return Revision{}, errors.Join(errs...)
	}
	rev := r.floor.revision(r.mirror)
	if rev.heartbeat, err = r.heard(); err != nil {
		errs = append(errs, fmt.Errorf("look for heartbeats: %w", err))
	}
	return rev, errors.Join(errs...)
}

// judgeAll raises the floor as far as the candidates allow; damage is the error
// of a mirror that cannot be read any more.
func (r *Repository) judgeAll(ctx context.Context) (refused []error, damage error) {
	if err := r.settle(); isDamage(err) {
		return nil, err
	} else if err != nil {
		return []error{err}, nil
	}
	if r.floor != nil && r.floor.pending() {
		return nil, nil
	}
	r.court() // reads the tags that have come
	for _, c := range r.ordered() {
		if err := r.judge(ctx, c); isDamage(err) {
			return nil, err
		} else if err != nil {
			refused = append(refused, err)
		}
	}
	if r.current() {
		refused = slices.DeleteFunc(refused, isLag)
	}
	return refused, nil
}

// current tells whether a source has the floor, or what follows it. Another one
// that is older then only lags; else, it would be the fleet that goes back.
func (r *Repository) current() bool {
	return r.floor != nil && slices.ContainsFunc(r.ordered(), func(c *candidate) bool {
		return !c.file && !errors.Is(c.refusal(), ErrOlder) && !errors.Is(c.refusal(), ErrRewritten)
	})
}

func (c *candidate) refusal() error {
	if c.refuse == nil {
		return nil
	}
	return c.refuse.Reason
}

func isLag(err error) bool {
	refused := new(Refused)
	return errors.As(err, &refused) && refused.lag && errors.Is(err, ErrOlder)
}

// ordered lists candidates: sources as configured, then bundles by path.
func (r *Repository) ordered() []*candidate {
	var list []*candidate
	for _, p := range r.pollers {
		if c := r.candidates[p.name]; c != nil {
			list = append(list, c)
		}
	}
	var paths []string
	for path := range r.files {
		paths = append(paths, path)
	}
	slices.Sort(paths)
	for _, path := range paths {
		if c := r.candidates[path]; c != nil {
			list = append(list, c)
		}
	}
	return list
}

// judge raises the floor as far as a candidate allows, and returns a *Refused if
// that is not its tip. What was judged once is judged again only if other tags
// have come, as one of them may approve it.
func (r *Repository) judge(ctx context.Context, c *candidate) error {
	if c.refuse != nil && c.by != nil && c.by != r.tags {
		c.refuse = nil
	}
	if c.refuse == nil && (c.by != r.tags || r.floor == nil || c.at != r.floor.Commit) {
		if err := r.follow(ctx, c); err != nil {
			return err
		}
	}
	switch {
	case c.refuse == nil:
		return nil
	case c.once != "" && r.olderSeen[c.once]:
		delete(r.candidates, c.source)
		return nil
	case c.once != "":
		r.olderSeen[c.once] = true
	}
	return c.refuse
}

// follow sets c.refuse, or returns the error that kept it from knowing.
func (r *Repository) follow(ctx context.Context, c *candidate) error {
	if r.floor == nil {
		return r.firstContact(c)
	}
	if c.tip == r.floor.hash() {
		return nil
	}
	line, err := r.line(c.tip)
	if errors.Is(err, ErrOlder) && r.files[c.source] != nil {
		delete(r.candidates, c.source) // a bundle that has served
		return nil
	}
	if errors.Is(err, ErrOlder) || errors.Is(err, ErrRewritten) {
		c.refuse = &Refused{Source: c.source, Commit: c.tip.String(), Reason: err, lag: !c.file}
		return nil
	}
	if err != nil {
		return err
	}
	started, reached, court := time.Now(), r.floor, r.court()
	for len(line) > 0 {
		if err := ctx.Err(); err != nil {
			return errors.Join(err, r.raise(*reached, c, started))
		}
		to, steps, refused, err := court.next(reached, line)
		if err != nil {
			return err
		}
		if refused != nil {
			refused.Source, c.refuse = c.source, refused
			r.log.Warn("commit refused", "source", c.source, "commit", refused.Commit, "reason", refused.Reason)
		}
		if to == nil {
			break
		}
		reached, line = to, line[steps:]
	}
	if err := r.raise(*reached, c, started); err != nil {
		return err
	}
	c.by, c.at = r.tags, r.floor.Commit
	return nil
}

// court judges by the mirror, the anchor and the tags of all candidates.
func (r *Repository) court() *court {
	if r.tags == nil {
		r.tags = r.mirror.index(r.candidates)
	}
	return &court{store: r.mirror, anchor: r.anchor, recovery: r.recover, trusts: r.trusts, tags: r.tags}
}

func (c *commit) floor(signer trust.Signer, bound time.Time) floor {
	return floor{Commit: c.hash.String(), Tree: c.tree.String(), Time: c.time, Bound: latest(c.time, bound), Signer: signer}
}

// firstContact takes a commit that the anchor vouches for as the floor.
func (r *Repository) firstContact(c *candidate) error {
	tip, err := r.mirror.commit(c.tip)
	if err != nil {
		return err
	}
	first, err := r.court().contact(tip)
	if isDamage(err) {
		return err
	}
	if err != nil {
		c.refuse = &Refused{Source: c.source, Commit: tip.hash.String(), Reason: err}
		c.by = r.tags
		r.log.Warn("first contact refused", "source", c.source, "commit", tip.hash.String(), "reason", err)
		return nil
	}
	return r.raise(*first, c, time.Now())
}

// line returns the commits after the floor up to tip, oldest first.
func (r *Repository) line(tip plumbing.Hash) ([]*commit, error) {
	if err := r.descends(overlay{base: r.mirror}, tip); err != nil {
		return nil, err
	}
	var line []*commit
	for h := tip; h != r.floor.hash(); {
		c, err := r.mirror.commit(h)
		if err != nil {
			return nil, err
		}
		line = append(line, c)
		h = c.parents[0]
	}
	slices.Reverse(line)
	return line, nil
}

// raise makes the new floor durable. Its tree is read completely first: a floor
// that cannot be rendered is worth nothing.
func (r *Repository) raise(to floor, c *candidate, started time.Time) error {
	if r.floor != nil {
		if to.Commit == r.floor.Commit && !r.floor.pending() {
			return nil
		}
		to.Serial = r.floor.Serial + 1
	}
	if err := r.checkTree(to.hash(), to.tree()); err != nil {
		return err
	}
	if err := r.floors.write(&to); err != nil {
		return err
	}
	r.floor = &to
	r.log.Info("revision accepted", "revision", to.Commit[:12], "signer", to.Signer.String(), "source", c.source, "took", time.Since(started))
	if err := r.keepCopy(); err != nil {
		r.log.Warn("mirror not copied", "error", err)
	}
	return r.mirror.setRef(floorRef, to.hash())
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
