package gitsource

import (
	"errors"
	"fmt"
	"hash"
	"io"
	"path"
	"syscall"

	"github.com/go-git/go-git/v5/plumbing"
	githash "github.com/go-git/go-git/v5/plumbing/hash"
)

// errMissing reports an object that a store does not hold.
var errMissing = errors.New("object is missing")

// damaged reports bytes on disk that are not what they are named after.
type damaged struct {
	hash plumbing.Hash
	err  error
}

func (d *damaged) Error() string { return fmt.Sprintf("read object %s: %v", d.hash, d.err) }
func (d *damaged) Unwrap() error { return d.err }

// has tells whether the store knows the object; not whether it can be read.
func (s *store) has(h plumbing.Hash) bool {
	return s.holds(h) || s.under != nil && s.under.has(h)
}

func (s *store) holds(h plumbing.Hash) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.git.HasEncodedObject(h) == nil
}

// size of an object in bytes.
func (s *store) size(h plumbing.Hash) (n int64, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer recoverDamage(h, &err)
	// Asked for a size, go-git 5.19 leaves the file of a loose object open, and does not look at what is borrowed.
	if !s.loose(h) {
		if n, err = s.git.EncodedObjectSize(h); !errors.Is(err, plumbing.ErrObjectNotFound) {
			if err != nil {
				return 0, damage(h, err)
			}
			return n, nil
		}
	}
	obj, err := s.git.EncodedObject(plumbing.AnyObject, h)
	if err != nil {
		return 0, damage(h, err)
	}
	return obj.Size(), nil
}

// loose tells whether the object has a file of its own.
func (s *store) loose(h plumbing.Hash) bool {
	name := h.String()
	_, err := s.git.Filesystem().Lstat(path.Join("objects", name[:2], name[2:]))
	return err == nil
}

// kind of an object.
func (s *store) kind(h plumbing.Hash) (t plumbing.ObjectType, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer recoverDamage(h, &err)
	obj, err := s.git.EncodedObject(plumbing.AnyObject, h)
	if err != nil {
		return 0, damage(h, err)
	}
	return obj.Type(), nil
}

// read returns an object of the given type, of at most limit bytes. The error
// is a *damaged if what is on disk cannot be trusted any more, or wraps errMissing.
func (s *store) read(h plumbing.Hash, want plumbing.ObjectType, limit int64) (data []byte, err error) {
	if s.under != nil && !s.holds(h) {
		return s.under.read(h, want, limit)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	defer recoverDamage(h, &err)
	obj, err := s.git.EncodedObject(plumbing.AnyObject, h)
	if err != nil {
		return nil, damage(h, err)
	}
	if obj.Type() != want {
		return nil, fmt.Errorf("object %s is a %s, not a %s", h, obj.Type(), want)
	}
	if obj.Size() > limit {
		return nil, fmt.Errorf("%s %s is larger than %d bytes", want, h, limit)
	}
	r, err := obj.Reader()
	if err != nil {
		return nil, damage(h, err)
	}
	defer r.Close()
	data = make([]byte, obj.Size())
	if _, err := io.ReadFull(r, data); err != nil {
		return nil, damage(h, err)
	}
	sum, err := s.hasher(want, obj.Size())
	if err != nil {
		return nil, err
	}
	if _, err := sum.Write(data); err != nil {
		return nil, err
	}
	if err := checkNamed(h, sum); err != nil {
		return nil, err
	}
	return data, nil
}

// checkBlob reads a file of any size and compares it with its name.
func (s *store) checkBlob(h plumbing.Hash) (err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer recoverDamage(h, &err)
	obj, err := s.git.EncodedObject(plumbing.BlobObject, h)
	if err != nil {
		return damage(h, err)
	}
	r, err := obj.Reader()
	if err != nil {
		return damage(h, err)
	}
	defer r.Close()
	sum, err := s.hasher(plumbing.BlobObject, obj.Size())
	if err != nil {
		return err
	}
	if _, err := io.Copy(sum, r); err != nil {
		return damage(h, err)
	}
	return checkNamed(h, sum)
}

// hasher begins the name of an object. There is one at a time, under the lock.
func (s *store) hasher(kind plumbing.ObjectType, size int64) (hash.Hash, error) {
	if s.sum == nil {
		s.sum = githash.New(githash.CryptoType)
	}
	s.sum.Reset()
	_, err := fmt.Fprintf(s.sum, "%s %d\x00", kind, size)
	return s.sum, err
}

func (s *store) commit(h plumbing.Hash) (*commit, error) {
	raw, err := s.read(h, plumbing.CommitObject, maxCommit)
	if err != nil {
		return nil, err
	}
	c, err := parseCommit(h, raw)
	if err != nil {
		return nil, fmt.Errorf("read commit %s: %w", h, err)
	}
	return c, nil
}

func (s *store) tree(h plumbing.Hash) ([]entry, error) {
	raw, err := s.read(h, plumbing.TreeObject, maxTree)
	if err != nil {
		return nil, err
	}
	entries, err := parseTree(raw)
	if err != nil {
		return nil, fmt.Errorf("read tree %s: %w", h, err)
	}
	return entries, nil
}

// damage tells damage from a machine that is short of something just now.
func damage(h plumbing.Hash, err error) error {
	var errno syscall.Errno
	if errors.As(err, &errno) && errno != syscall.EIO && errno != syscall.ENOENT {
		return fmt.Errorf("read object %s: %w", h, err)
	}
	if errors.Is(err, plumbing.ErrObjectNotFound) {
		err = errMissing
	}
	return &damaged{hash: h, err: err}
}

func isDamage(err error) bool {
	var broken *damaged
	return errors.As(err, &broken)
}

// recoverDamage turns a panic of go-git over a corrupt file into an error.
func recoverDamage(h plumbing.Hash, err *error) {
	if p := recover(); p != nil {
		*err = damage(h, fmt.Errorf("corrupt file: %v", p))
	}
}
