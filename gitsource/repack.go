package gitsource

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/revlist"
)

// repack writes all that counts in a mirror that has grown to a fresh pack, and
// puts that in its place: what bundles and static mirrors bring are increments,
// so no fresh clone ever comes from there. Objects are named and checked anew.
func (r *Repository) repack(ctx context.Context) error {
	base, tips := r.grownMirror()
	if base == nil {
		return nil
	}
	before, err := names(base.packDir())
	if err != nil {
		return err
	}
	s, err := base.fresh(ctx, r, tips)
	if err != nil {
		return fmt.Errorf("pack the mirror anew: %w", err)
	}
	defer s.discard()
	r.mu.Lock()
	defer r.mu.Unlock()
	after, err := names(base.packDir())
	if err != nil || r.mirror != base || !maps.Equal(before, after) {
		return err // something came meanwhile: at the next poll
	}
	if err := r.replaceMirror(s); err != nil {
		return err
	}
	return r.keepCopy()
}

// grownMirror returns the mirror and what must stay in it, or nil if it need not
// be packed anew.
func (r *Repository) grownMirror() (*store, []plumbing.Hash) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.floor == nil || !r.mirror.has(r.floor.hash()) || !r.mirror.overgrown(r.grown) {
		return nil, nil
	}
	tips := []plumbing.Hash{r.floor.hash()}
	for _, c := range r.candidates {
		for _, h := range c.objects() {
			if r.mirror.has(h) {
				tips = append(tips, h)
			}
		}
	}
	return r.mirror, tips
}

// fresh stages a pack of tips and all that they refer to.
func (s *store) fresh(ctx context.Context, r *Repository, tips []plumbing.Hash) (*staged, error) {
	reader := &store{dir: s.dir, disk: s.disk} // go-git's storage is for one at a time
	reader.open()
	defer reader.close()
	pack, out := io.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		out.CloseWithError(reader.encode(&meteredWriter{ctx, out, newMeter(ctx, "packing", true, 0)}, tips))
	}()
	fresh, err := stage(ctx, r.dir, pack, s, r.limits)
	pack.Close()
	<-done
	if err != nil {
		return nil, err
	}
	for _, tip := range tips {
		err = errors.Join(err, fresh.expect(tip, plumbing.AnyObject, nil))
	}
	if err == nil && len(fresh.outside) > 0 {
		err = errors.New("the new pack does not hold all")
	}
	if err != nil {
		fresh.discard()
		return nil, err
	}
	return fresh, nil
}

func (s *store) encode(w io.Writer, tips []plumbing.Hash) (err error) {
	defer recoverDamage(plumbing.ZeroHash, &err)
	hashes, err := revlist.Objects(s.git, tips, nil)
	if err != nil {
		return err
	}
	plumbing.HashesSort(hashes)
	return encodePack(w, s.git, hashes)
}
