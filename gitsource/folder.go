package gitsource

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

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
		if !present[path] && !r.taken[path] {
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
	c, err := r.readBundle(reading(ctx, path), &candidate{source: path, file: true}, path)
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
	if _, err := io.Copy(h, &meteredReader{ctx, file, nil}); err != nil {
		return "", err
	}
	return fmt.Sprintf("%x", h.Sum(nil)), nil
}
