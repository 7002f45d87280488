package memo

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// Tree is a folder of the machine as a file system that knows the digest of
// each file and folder in it. A digest is made at its first use and kept, with
// what was read: what changes in the folder afterwards is not seen.
type Tree struct {
	dirFS fs.FS
	dir   string
	free  chan struct{} // a token for each goroutine beside the caller's

	mu    sync.Mutex
	known map[string]*sum
	kept  atomic.Int64 // bytes
}

type sum struct {
	once  sync.Once
	value string
	err   error

	data    atomic.Pointer[[]byte]        // of a file, if it is kept
	entries atomic.Pointer[[]fs.DirEntry] // of a folder
}

// Dir returns the tree of a folder.
func Dir(dir string) *Tree {
	return &Tree{dirFS: os.DirFS(dir), dir: dir, free: make(chan struct{}, runtime.GOMAXPROCS(0)), known: map[string]*sum{}}
}

// Digest names the content of a file, or of a folder and all below it; names that
// begin with a dot, which a fleet does not use, are left out of folders.
func (t *Tree) Digest(name string) (string, error) {
	return t.digestOf(name, func() (fs.FileMode, error) {
		info, err := os.Lstat(t.path(name))
		if err != nil {
			return 0, err
		}
		return info.Mode().Type(), nil
	})
}

func (t *Tree) digestOf(name string, kind func() (fs.FileMode, error)) (string, error) {
	t.mu.Lock()
	s := t.known[name]
	if s == nil {
		s = new(sum)
		t.known[name] = s
	}
	t.mu.Unlock()
	s.once.Do(func() {
		var mode fs.FileMode
		if mode, s.err = kind(); s.err == nil {
			s.value, s.err = t.digest(s, name, mode)
		}
	})
	return s.value, s.err
}

func (t *Tree) digest(s *sum, name string, mode fs.FileMode) (string, error) {
	h := sha256.New()
	var err error
	switch {
	case mode.IsDir():
		err = t.hashFolder(s, h, name)
	case mode.IsRegular():
		err = t.hashFile(s, h, name)
	default:
		_, err = fmt.Fprintf(h, "%s", mode)
	}
	return hex.EncodeToString(h.Sum(nil)), err
}

func (t *Tree) path(name string) string { return filepath.Join(t.dir, filepath.FromSlash(name)) }

var buffers = sync.Pool{New: func() any { b := make([]byte, 8<<10); return &b }}

// hashFile reads past package os, which does twice as much for each of what may
// be many thousand small files.
func (t *Tree) hashFile(s *sum, h hash.Hash, name string) error {
	fd, err := unix.Open(t.path(name), unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return &fs.PathError{Op: "open", Path: name, Err: err}
	}
	defer unix.Close(fd)
	buf := *buffers.Get().(*[]byte)
	defer buffers.Put(&buf)
	var data []byte
	for {
		n, err := unix.Read(fd, buf)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return &fs.PathError{Op: "read", Path: name, Err: err}
		case n == 0:
			t.keep(s, data)
			return nil
		}
		h.Write(buf[:n])
		if len(data) <= maxKeptOne {
			data = append(data, buf[:n]...)
		}
	}
}

// hashFolder hashes the entries, by name, each with its kind and digest.
func (t *Tree) hashFolder(s *sum, h hash.Hash, name string) error {
	entries, err := os.ReadDir(t.path(name))
	if err != nil {
		return err
	}
	s.entries.Store(&entries)
	digests, errs := make([]string, len(entries)), make([]error, len(entries))
	var wg sync.WaitGroup
	for i, e := range entries {
		if e.Name()[0] == '.' {
			continue
		}
		read := func() {
			digests[i], errs[i] = t.digestOf(path.Join(name, e.Name()), func() (fs.FileMode, error) { return e.Type(), nil })
		}
		select {
		case t.free <- struct{}{}:
			wg.Go(func() {
				defer func() { <-t.free }()
				read()
			})
		default:
			read()
		}
	}
	wg.Wait()
	for i, e := range entries {
		if errs[i] != nil {
			return errs[i]
		}
		if digests[i] != "" {
			fmt.Fprintf(h, "%s %s\x00%s\n", e.Type(), e.Name(), digests[i])
		}
	}
	return nil
}
