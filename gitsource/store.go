package gitsource

import (
	"bufio"
	"errors"
	"fmt"
	"hash"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/go-git/go-billy/v5"
	"github.com/go-git/go-billy/v5/osfs"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/cache"
	"github.com/go-git/go-git/v5/storage/filesystem"

	"github.com/holdfast-fleet/holdfast/durable"
)

// store is a bare repository whose objects are named by what they are when they
// are read, not only when they were written. It is safe for concurrent use,
// which go-git's storage is not.
type store struct {
	dir  string
	disk durable.Disk

	under *store // read for what this one does not hold; nil: nothing

	mu  sync.Mutex
	git *filesystem.Storage
	sum hash.Hash // of the object that is read; nil: none was yet

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

func (s *store) open() { s.git = newStorage(osfs.New(s.dir), nil) }

// newStorage reads the objects of a repository, and keeps its packs open; alternates
// is where those may lie that it borrows, nil if it must not.
func newStorage(dir, alternates billy.Filesystem) *filesystem.Storage {
	return filesystem.NewStorageWithOptions(bufferedIndexes{dir}, cache.NewObjectLRU(4<<20), filesystem.Options{
		MaxOpenDescriptors:   16,
		LargeObjectThreshold: 1 << 20,
		AlternatesFS:         alternates,
	})
}

// bufferedIndexes is a folder whose pack indexes are read in large pieces. The
// decoder of go-git takes their first kilobyte by four bytes a system call.
type bufferedIndexes struct{ billy.Filesystem }

func (b bufferedIndexes) Open(name string) (billy.File, error) {
	f, err := b.Filesystem.Open(name)
	if err != nil || filepath.Ext(name) != ".idx" {
		return f, err
	}
	return &bufferedFile{f, bufio.NewReaderSize(f, 32<<10)}, nil
}

// bufferedFile is read from its begin to its end.
type bufferedFile struct {
	billy.File
	buffer *bufio.Reader
}

func (f *bufferedFile) Read(p []byte) (int, error) { return f.buffer.Read(p) }

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
