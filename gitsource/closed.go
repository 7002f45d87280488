package gitsource

import (
	"context"
	"fmt"

	"github.com/go-git/go-git/v5/plumbing"
)

// checkClosed makes sure that whatever an object of the pack refers to is in the
// pack or in base. As base is closed itself, so is what both make: no later
// reader can meet a gap, whichever commit it starts from.
func (s *staged) checkClosed(ctx context.Context, base *store) error {
	meter := newMeter(ctx, "checking", false, int64(len(s.order)))
	for _, h := range s.order {
		meter.add(1)
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := s.checkReferences(h, base); err != nil {
			// Not wrapped: an error in a pack is no damage of the mirror.
			return fmt.Errorf("%s %s: %s", s.types[h], h, err.Error())
		}
	}
	return nil
}

func (s *staged) checkReferences(h plumbing.Hash, base *store) error {
	switch s.types[h] {
	case plumbing.CommitObject:
		c, err := s.store.commit(h)
		if err != nil {
			return err
		}
		if err := s.expect(c.tree, plumbing.TreeObject, base); err != nil {
			return err
		}
		for _, parent := range c.parents {
			if err := s.expect(parent, plumbing.CommitObject, base); err != nil {
				return err
			}
		}
	case plumbing.TreeObject:
		entries, err := s.store.tree(h)
		if err != nil {
			return err
		}
		for _, e := range entries {
			if e.mode == modeSubmodule {
				continue
			}
			want := plumbing.BlobObject
			if e.mode == modeFolder {
				want = plumbing.TreeObject
			}
			if err := s.expect(e.hash, want, base); err != nil {
				return err
			}
		}
	case plumbing.TagObject:
		raw, err := s.store.read(h, plumbing.TagObject, maxCommit)
		if err != nil {
			return err
		}
		target, err := tagTarget(raw)
		if err != nil {
			return err
		}
		return s.expect(target, plumbing.AnyObject, base)
	}
	return nil
}

func (s *staged) expect(h plumbing.Hash, want plumbing.ObjectType, base *store) error {
	got, inPack := s.types[h]
	switch {
	case inPack && want != plumbing.AnyObject && got != want:
		return fmt.Errorf("refers to the %s %s as a %s", got, h, want)
	case inPack || s.outside[h]:
		return nil
	case base == nil || !base.has(h):
		return fmt.Errorf("refers to %s, which is missing", h)
	}
	s.outside[h] = true
	return nil
}
