package gitsource

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"

	"github.com/go-git/go-git/v5/plumbing"
)

func (r *Repository) fetchRemote(ctx context.Context, m *remote) error {
	session, refs, tip, err := m.session(ctx, r.branch)
	if err != nil {
		return err
	}
	defer session.Close()
	c := &candidate{source: m.name, tip: tip, tags: annotatedTags(refs)}
	if known := r.candidate(m.name); known != nil && known.tip == tip && maps.Equal(known.tags, c.tags) {
		return nil
	}
	var s *staged
	base := r.store()
	if wants := c.missing(base); len(wants) > 0 {
		req, err := request(refs, wants, r.haves())
		if err != nil {
			return err
		}
		s, err = m.download(ctx, session, req, func(ctx context.Context, pack io.Reader) (*staged, error) {
			return stage(ctx, r.dir, pack, base, r.limits)
		})
		if err != nil {
			return err
		}
		defer s.discard()
		if err := s.expect(tip, plumbing.CommitObject, base); err != nil {
			return fmt.Errorf("branch %s %w", r.branch, err)
		}
	}
	if err := r.admit(c, s); err != nil || r.refusal(c) != nil {
		return err
	}
	return r.store().setRef(m.ref, tip)
}

// refusal is why an admitted candidate is refused: it is judged meanwhile.
func (r *Repository) refusal(c *candidate) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return c.refusal()
}

func (r *Repository) candidate(source string) *candidate {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.candidates[source]
}

// haves names commits that a remote need not send: the floor, and ever fewer of
// those before it.
func (r *Repository) haves() []plumbing.Hash {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.floor == nil || !r.mirror.has(r.floor.hash()) || r.mirror.overgrown(r.grown) {
		return nil // all of the history, please
	}
	var haves []plumbing.Hash
	next, h := 0, r.floor.hash()
	for n := 0; n < 4096 && len(haves) < maxHaves; n++ {
		if n == next {
			haves = append(haves, h)
			next = n + 1 + n/8
		}
		c, err := r.mirror.commit(h)
		if err != nil || len(c.parents) == 0 {
			break
		}
		h = c.parents[0]
	}
	return haves
}

// admit makes a tip a candidate, and publishes its pack if it descends from the
// floor; s is nil if the mirror holds the tip already.
func (r *Repository) admit(c *candidate, s *staged) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	objects := r.mirror
	if s != nil {
		if s.base != r.mirror {
			return errors.New("the mirror was emptied meanwhile, so it is fetched again")
		}
		objects = s.store.over(r.mirror)
	}
	if c.part && s != nil && r.floor != nil && !r.mirror.has(r.floor.hash()) && !s.store.has(r.floor.hash()) {
		return r.mirror.adopt(s.pack, s.index) // the floor may be in what follows
	}
	err := r.descends(objects, c)
	switch {
	case isOffLine(err):
		c.refuse = &Refused{Source: c.source, Commit: c.tip.String(), Reason: err, lag: !c.file}
	case err != nil:
		return err
	case s != nil && r.isClone(s) && r.mirror.overgrown(r.grown) && len(r.alarms) == 0: // a clone may lack what parts from it
		if err := r.replaceMirror(s); err != nil {
			return err
		}
	case s != nil:
		if err := r.mirror.adopt(s.pack, s.index); err != nil {
			return err
		}
	}
	r.candidates[c.source], r.tags = c, nil
	return nil
}

// isOffLine tells that a tip is not the floor and does not build on it.
func isOffLine(err error) bool {
	return errors.Is(err, ErrOlder) || errors.Is(err, ErrRewritten) || errors.Is(err, ErrDiverged)
}

// descends returns ErrOlder, ErrRewritten or a *Diverged if the floor is not on the
// first-parent line of a tip. A mirror that lost the floor cannot tell older from
// rewritten.
func (r *Repository) descends(objects *store, c *candidate) error {
	if r.floorErr != nil {
		return r.floorErr
	}
	if r.floor == nil {
		return nil
	}
	for _, walk := range []struct {
		from, to plumbing.Hash
		found    error
	}{{c.tip, r.floor.hash(), nil}, {r.floor.hash(), c.tip, ErrOlder}} {
		if walk.found != nil && !r.mirror.has(walk.from) {
			break
		}
		for h := walk.from; ; {
			if h == walk.to {
				return walk.found
			}
			at, err := objects.commit(h)
			if err != nil {
				return err
			}
			if len(at.parents) == 0 {
				break
			}
			h = at.parents[0]
		}
	}
	return r.forked(objects, c)
}
