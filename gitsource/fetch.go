package gitsource

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"syscall"

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
	objects := overlay{base: r.mirror}
	if s != nil {
		if objects.top = s.store; s.base != r.mirror {
			return errors.New("the mirror was emptied meanwhile, so it is fetched again")
		}
	}
	if c.part && s != nil && r.floor != nil && !r.mirror.has(r.floor.hash()) && !s.store.has(r.floor.hash()) {
		return r.mirror.adopt(s.pack, s.index) // the floor may be in what follows
	}
	err := r.descends(objects, c.tip)
	switch {
	case errors.Is(err, ErrOlder), errors.Is(err, ErrRewritten):
		c.refuse = &Refused{Source: c.source, Commit: c.tip.String(), Reason: err, lag: !c.file}
	case err != nil:
		return err
	case s != nil && r.isClone(s) && r.mirror.overgrown(r.grown):
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

// overlay reads commits of a staged pack and of the mirror.
type overlay struct{ top, base *store }

func (o overlay) commit(h plumbing.Hash) (*commit, error) {
	if o.top != nil && o.top.has(h) {
		return o.top.commit(h)
	}
	return o.base.commit(h)
}

// descends returns ErrOlder or ErrRewritten if the floor is not on the
// first-parent line of tip. A mirror that lost the floor cannot tell older from
// rewritten.
func (r *Repository) descends(objects overlay, tip plumbing.Hash) error {
	if r.floorErr != nil {
		return r.floorErr
	}
	if r.floor == nil {
		return nil
	}
	for _, walk := range []struct {
		from, to plumbing.Hash
		found    error
	}{{tip, r.floor.hash(), nil}, {r.floor.hash(), tip, ErrOlder}} {
		if walk.found != nil && !r.mirror.has(walk.from) {
			break
		}
		for h := walk.from; ; {
			if h == walk.to {
				return walk.found
			}
			c, err := objects.commit(h)
			if err != nil {
				return err
			}
			if len(c.parents) == 0 {
				break
			}
			h = c.parents[0]
		}
	}
	return ErrRewritten
}

// bundleFile remembers what became of a file, so that it is read once.
type bundleFile struct {
	stat string // what tells that it changed
	err  error  // why it could not be read
}

// waits tells whether the bundle was not read for want of what is there by now.
func (f *bundleFile) waits(mirror *store) bool {
	gap := new(missingPrerequisite)
	return errors.As(f.err, &gap) && mirror.has(gap.hash)
}

// fetchBundles reads what is new in the bundle folders. An increment may lie
// before the one that it builds on: what waits for another is read again as long
// as that brings something.
func (r *Repository) fetchBundles(ctx context.Context) error {
	for {
		err, again := r.fetchBundlesOnce(ctx)
		if !again || ctx.Err() != nil {
			return err
		}
	}
}

func (r *Repository) fetchBundlesOnce(ctx context.Context) (err error, again bool) {
	var errs []error
	present := make(map[string]bool)
	for _, dir := range r.bundles {
		entries, err := os.ReadDir(dir)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, fmt.Errorf("look for bundles: %w", err))
		}
		for _, e := range entries {
			path := filepath.Join(dir, e.Name())
			if !strings.HasSuffix(path, ".bundle") || strings.HasPrefix(e.Name(), ".") || ctx.Err() != nil {
				continue
			}
			present[path] = true
			if err := r.fetchBundle(ctx, path); err != nil {
				errs = append(errs, err)
			}
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for path, file := range r.files {
		if !present[path] {
			delete(r.files, path)
			delete(r.candidates, path)
		} else if file.waits(r.mirror) {
			again = true
		}
	}
	return errors.Join(append(errs, ctx.Err())...), again
}

func (r *Repository) fetchBundle(ctx context.Context, path string) error {
	stat, err := statKey(path)
	if err != nil {
		return fmt.Errorf("read bundle %s: %w", path, err)
	}
	r.mu.Lock()
	known := r.files[path]
	again := known != nil && known.waits(r.mirror)
	r.mu.Unlock()
	if known != nil && known.stat == stat && !again {
		return known.err
	}
	c, err := r.readBundle(ctx, &candidate{source: path, file: true}, path)
	if err != nil && ctx.Err() == nil {
		err = bundleError{err}
		refused := &Refused{Source: path, Reason: err}
		if c != nil {
			refused.Commit = c.tip.String()
		}
		err = refused
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if ctx.Err() == nil {
		r.files[path] = &bundleFile{stat, err}
	}
	if err != nil || r.olderSeen[c.once] {
		delete(r.candidates, path)
	}
	return err
}

// readBundle makes the tip of a bundle the candidate c of a source. With an error, the candidate
// says which tip the bundle claims to have, if it came that far.
func (r *Repository) readBundle(ctx context.Context, c *candidate, path string) (*candidate, error) {
	file, pack, info, err := openBundle(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	tip, err := info.tip(r.branch)
	if err != nil {
		return nil, err
	}
	c.tip, c.tags = tip, info.tags()
	var s *staged
	if base := r.store(); len(c.missing(base)) > 0 {
		if s, err = stageBundle(ctx, r.dir, &info, pack, stageOptions{base, r.limits}); err != nil {
			return c, err
		}
		defer s.discard()
	}
	if err := r.admit(c, s); err != nil {
		return c, err
	}
	if errors.Is(r.refusal(c), ErrOlder) {
		digest, err := digestFile(ctx, file)
		if err != nil {
			return c, err
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		c.once = digest
	}
	return c, nil
}

func statKey(path string) (string, error) {
	info, err := os.Lstat(path)
	if err != nil {
		return "", err
	}
	key := fmt.Sprintf("%d %d %s", info.Size(), info.ModTime().UnixNano(), info.Mode())
	if sys, ok := info.Sys().(*syscall.Stat_t); ok {
		key += fmt.Sprintf(" %d %d %d", sys.Dev, sys.Ino, sys.Ctim.Nano())
	}
	return key, nil
}

func digestFile(ctx context.Context, file *os.File) (string, error) {
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return "", err
	}
	h := sha256.New()
	if _, err := io.Copy(h, &contextReader{ctx, file}); err != nil {
		return "", err
	}
	return fmt.Sprintf("%x", h.Sum(nil)), nil
}
