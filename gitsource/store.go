package gitsource

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync"
	"syscall"

	"github.com/go-git/go-billy/v5/osfs"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/cache"
	"github.com/go-git/go-git/v5/storage/filesystem"

	"github.com/holdfast-fleet/holdfast/durable"
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

// store is a bare repository whose objects are named by what they are when they
// are read, not only when they were written. It is safe for concurrent use,
// which go-git's storage is not.
type store struct {
	dir  string
	disk durable.Disk

	under *store // read for what this one does not hold; nil: nothing

	mu  sync.Mutex
	git *filesystem.Storage

	trees treeCache // of commits being judged: a commit's tree is compared with the next one's
}

// openStore opens the bare repository at dir, and makes it if there is none.
func openStore(disk durable.Disk, dir string) (*store, error) {
	for _, d := range []string{"objects/pack", "objects/info", "refs/heads"} {
		if err := disk.MkdirAll(filepath.Join(dir, d)); err != nil {
			return nil, fmt.Errorf("make repository: %w", err)
		}
	}
	for name, content := range map[string]string{
		"HEAD":   "ref: refs/heads/main\n",
		"config": "[core]\n\trepositoryformatversion = 0\n\tbare = true\n",
	} {
		path := filepath.Join(dir, name)
		if info, err := os.Stat(path); err == nil && info.Size() > 0 {
			continue
		}
		// For people with git only, and written again if lost: not worth a sync.
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			return nil, fmt.Errorf("make repository: %w", err)
		}
	}
	s := &store{dir: dir, disk: disk}
	if err := s.dropLonePacks(); err != nil {
		return nil, err
	}
	s.open()
	return s, nil
}

func (s *store) open() {
	s.git = filesystem.NewStorageWithOptions(osfs.New(s.dir), cache.NewObjectLRU(8<<20), filesystem.Options{
		MaxOpenDescriptors:   16,
		LargeObjectThreshold: 1 << 20,
	})
}

// reopen forgets what was read of the folder: its packs are others now.
func (s *store) reopen() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.git.Close() // an error is about what is not read any more
	s.open()
}

func (s *store) packDir() string { return filepath.Join(s.dir, "objects", "pack") }

func (s *store) close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.git.Close()
}

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
	if s.loose(h) { // go-git 5.19 leaves the file of a loose object open that it was asked the size of
		obj, err := s.git.EncodedObject(plumbing.AnyObject, h)
		if err != nil {
			return 0, damage(h, err)
		}
		return obj.Size(), nil
	}
	if n, err = s.git.EncodedObjectSize(h); err != nil {
		return 0, damage(h, err)
	}
	return n, nil
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
	if data, err = io.ReadAll(io.LimitReader(r, limit+1)); err != nil {
		return nil, damage(h, err)
	}
	sum := plumbing.NewHasher(want, int64(len(data)))
	if _, err := sum.Write(data); err != nil {
		return nil, err
	}
	if err := checkNamed(h, sum.Hash); err != nil {
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
	sum := plumbing.NewHasher(plumbing.BlobObject, obj.Size())
	if _, err := io.Copy(sum, r); err != nil {
		return damage(h, err)
	}
	return checkNamed(h, sum.Hash)
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

// adopt moves a checked pack of another store into this one. When it returns nil
// the pack is on disk.
func (s *store) adopt(pack, index string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	dir := s.packDir()
	for _, file := range []string{pack, index} { // the index last: it makes the pack visible
		err := s.disk.SyncFile(file)
		if err == nil {
			err = s.disk.Rename(file, filepath.Join(dir, filepath.Base(file)))
		}
		if err != nil {
			return errors.Join(fmt.Errorf("publish pack: %w", err), s.dropLonePacks())
		}
	}
	s.git.Reindex()
	if err := s.syncUp(dir); err != nil {
		return fmt.Errorf("publish pack: %w", err)
	}
	return nil
}

// syncUp syncs the names in dir and in all folders above it, to the one that the
// store is in: a folder whose own name is not on disk is lost with all in it.
func (s *store) syncUp(dir string) error {
	for {
		if err := s.disk.SyncDir(dir); err != nil || dir == filepath.Dir(s.dir) {
			return err
		}
		dir = filepath.Dir(dir)
	}
}

// dropLonePacks removes packs whose index never came: go-git reads nothing at all
// of a repository that has one.
func (s *store) dropLonePacks() error {
	packs, err := filepath.Glob(filepath.Join(s.packDir(), "*.pack"))
	if err != nil {
		return err
	}
	for _, pack := range packs {
		if _, err := os.Lstat(strings.TrimSuffix(pack, ".pack") + ".idx"); !errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err := s.disk.RemoveAll(pack); err != nil {
			return fmt.Errorf("remove pack without index: %w", err)
		}
	}
	return nil
}

// setRef points a ref at a commit, for people who look at the repository with git.
func (s *store) setRef(name string, h plumbing.Hash) error {
	path := filepath.Join(s.dir, filepath.FromSlash(name))
	if err := s.disk.MkdirAll(filepath.Dir(path)); err != nil {
		return fmt.Errorf("set %s: %w", name, err)
	}
	if err := s.disk.WriteFile(path, []byte(h.String()+"\n"), 0o600); err != nil {
		return fmt.Errorf("set %s: %w", name, err)
	}
	return nil
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
