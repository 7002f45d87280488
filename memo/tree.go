package memo

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"sync"
)

// Tree is a folder of the machine as a file system that knows the digest of
// each file and folder in it. A digest is made at its first use and kept: what
// changes in the folder afterwards is not seen.
type Tree struct {
	fs.FS
	dir  string
	free chan struct{} // a token for each file and folder that may be read at once

	mu    sync.Mutex
	known map[string]*sum
}

type sum struct {
	once  sync.Once
	value string
	err   error
}

// Dir returns the tree of a folder.
func Dir(dir string) *Tree {
	return &Tree{FS: os.DirFS(dir), dir: dir, free: make(chan struct{}, 2*runtime.GOMAXPROCS(0)), known: map[string]*sum{}}
}

// Digest names the content of a file, or of a folder and all below it; names that
// begin with a dot, which a fleet does not use, are left out of folders.
func (t *Tree) Digest(name string) (string, error) {
	t.mu.Lock()
	s := t.known[name]
	if s == nil {
		s = new(sum)
		t.known[name] = s
	}
	t.mu.Unlock()
	s.once.Do(func() { s.value, s.err = t.digest(name) })
	return s.value, s.err
}

func (t *Tree) digest(name string) (string, error) {
	info, err := os.Lstat(t.path(name))
	if err != nil {
		return "", err
	}
	h := sha256.New()
	switch {
	case info.IsDir():
		err = t.hashFolder(h, name)
	case info.Mode().IsRegular():
		err = t.hashFile(h, name)
	default:
		_, err = fmt.Fprintf(h, "%s", info.Mode().Type())
	}
	return hex.EncodeToString(h.Sum(nil)), err
}

func (t *Tree) path(name string) string { return filepath.Join(t.dir, filepath.FromSlash(name)) }

func (t *Tree) hashFile(h hash.Hash, name string) error {
	t.free <- struct{}{}
	defer func() { <-t.free }()
	f, err := os.Open(t.path(name))
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = io.Copy(h, f)
	return err
}

// hashFolder hashes the entries, by name, each with its kind and digest.
func (t *Tree) hashFolder(h hash.Hash, name string) error {
	entries, err := t.list(name)
	if err != nil {
		return err
	}
	digests, errs := make([]string, len(entries)), make([]error, len(entries))
	var wg sync.WaitGroup
	for i, e := range entries {
		read := func() { digests[i], errs[i] = t.Digest(path.Join(name, e.Name())) }
		switch {
		case e.Name()[0] == '.':
		case e.IsDir():
			wg.Go(read)
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

func (t *Tree) list(name string) ([]fs.DirEntry, error) {
	t.free <- struct{}{}
	defer func() { <-t.free }()
	return os.ReadDir(t.path(name))
}

// Lstat describes a file without following it, if it is a link.
func (t *Tree) Lstat(name string) (fs.FileInfo, error) { return fs.Lstat(t.FS, name) }

// ReadLink returns what a link names.
func (t *Tree) ReadLink(name string) (string, error) { return fs.ReadLink(t.FS, name) }
