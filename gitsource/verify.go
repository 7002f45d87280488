package gitsource

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
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
		return Revision{}, errors.Join(fmt.Errorf("the mirror is damaged and is filled again by the next fetch: %w", err), reset)
	}
	switch {
	case r.floor == nil && len(errs) == 0:
		return Revision{}, errors.New("no source has delivered a revision yet")
	case r.floor == nil:
		return Revision{}, errors.Join(errs...)
	case !r.mirror.has(r.floor.hash()), r.floor.pending():
		errs = append(errs, fmt.Errorf("floor %s is not in the mirror, and no source has brought it back", r.floor.Commit[:12]))
		return Revision{}, errors.Join(errs...)
	}
	rev := r.floor.revision(r.mirror)
	rev.unreleased = r.unreleased()
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
	if r.floor != nil {
		r.floor.limit(r.clock.limit()) // its time may be from before the clock was right
	}
	r.court() // reads the tags that have come
	list, started := r.ordered(), time.Now()
	var errs error
	if r.floor == nil {
		errs = errors.Join(r.look(ctx, list), r.meet(list))
	}
	if r.floor != nil {
		errs = errors.Join(errs, r.look(ctx, list), r.advance(list, started))
	}
	if isDamage(errs) {
		return nil, errs
	}
	if errs != nil {
		refused = append(refused, errs)
	}
	return append(refused, r.refused(list)...), nil
}

// refused says what is not acted upon, and sounds the alarms.
func (r *Repository) refused(list []*candidate) []error {
	var refused []error
	var alarms []*Refused
	for _, c := range list {
		if r.candidates[c.source] != c {
			continue
		}
		if err := r.once(c); err != nil {
			refused = append(refused, err)
		}
		if c.alarm != nil && !slices.Contains(alarms, c.alarm) {
			alarms = append(alarms, c.alarm)
			refused = append(refused, c.alarm)
		}
	}
	if err := r.keepParted(list); err != nil {
		refused = append(refused, err)
	}
	r.alarm(Alarms(errors.Join(refused...)))
	if r.current() {
		refused = slices.DeleteFunc(refused, isLag)
	}
	return refused
}

// current tells whether a source has the floor, or what follows it. Another one
// that is older then only lags; else, it would be the fleet that goes back.
func (r *Repository) current() bool {
	return r.floor != nil && slices.ContainsFunc(r.ordered(), func(c *candidate) bool {
		return !c.file && !isOffLine(c.refusal())
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

// once is why a candidate is refused; of a bundle that is older, only once.
func (r *Repository) once(c *candidate) error {
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

// look judges each candidate. What was judged once is judged again only from
// another floor, or if other tags have come, as one of them may approve it.
func (r *Repository) look(ctx context.Context, list []*candidate) error {
	var errs []error
	for _, c := range list {
		if c.refuse != nil && c.by != nil && c.by != r.tags {
			c.refuse = nil
		}
		at := ""
		if r.floor != nil {
			at = r.floor.Commit
		}
		if c.refuse != nil || c.by == r.tags && c.at == at {
			continue
		}
		c.steps, c.wait = nil, 0
		if err := r.judge(ctx, c); isDamage(err) {
			return err
		} else if err != nil {
			errs = append(errs, err)
			continue
		}
		c.by, c.at = r.tags, at
	}
	return errors.Join(errs...)
}

// judge sets c.steps and c.refuse, or returns the error that kept it from knowing.
func (r *Repository) judge(ctx context.Context, c *candidate) error {
	if r.floor == nil {
		return r.firstContact(c)
	}
	if c.tip == r.floor.hash() {
		return nil
	}
	line, err := r.line(c)
	if errors.Is(err, ErrOlder) && r.files[c.source] != nil {
		delete(r.candidates, c.source) // a bundle that has served
		return nil
	}
	if isOffLine(err) {
		c.refuse = &Refused{Source: c.source, Commit: c.tip.String(), Reason: err, lag: !c.file}
		return nil
	}
	if err != nil {
		return err
	}
	reached, court := r.floor, r.court()
	for len(line) > 0 {
		if err := ctx.Err(); err != nil {
			return err
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
		clear(line[:steps]) // of a long one, what is decided need not stay in memory
		reached, line, c.steps = to, line[steps:], append(c.steps, *to)
	}
	if c.refuse == nil {
		c.wait = len(line)
	}
	return nil
}

// unreleased is how many commits wait for a release, of the source that has most.
func (r *Repository) unreleased() int {
	most := 0
	for _, c := range r.ordered() {
		if c.alarm == nil {
			most = max(most, c.wait)
		}
	}
	return most
}

// court judges by the mirror, the anchor and the tags of all candidates.
func (r *Repository) court() *court {
	if r.tags == nil {
		r.tags = r.mirror.index(r.candidates)
	}
	return &court{store: r.mirror, anchor: r.anchor, recovery: r.recover, trusts: r.trusts, tags: r.tags, limit: r.clock.limit()}
}

// firstContact finds a commit that the anchor vouches for.
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
		r.log.Warn("first contact refused", "source", c.source, "commit", tip.hash.String(), "reason", err)
		return nil
	}
	c.steps = []floor{*first}
	return nil
}

// line returns the commits after the floor up to a tip, oldest first.
func (r *Repository) line(tip *candidate) ([]*commit, error) {
	var line []*commit
	for h := tip.tip; h != r.floor.hash(); {
		c, err := r.mirror.commit(h)
		if err != nil {
			return nil, err
		}
		if len(c.parents) == 0 {
			return nil, r.descends(r.mirror, tip) // says why the floor was not met
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
