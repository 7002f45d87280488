package gitsource

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
)

// maxFile is the largest file that a fleet may hold, in bytes.
const maxFile = 4 << 20

// treeFS is a Git tree as a file system: regular files and folders only.
// Symbolic links and submodules are errors that name their path, also of the
// folder that lists one, so that nobody copies it unseen.
type treeFS struct {
	store *store
	root  plumbing.Hash
	time  time.Time // of every file

	trees treeCache
}

func (t *treeFS) tree(h plumbing.Hash) ([]entry, error) { return t.trees.read(t.store, h) }

func (t *treeFS) Open(name string) (fs.File, error) {
	e, err := t.find("open", name)
	if err != nil {
		return nil, err
	}
	info := t.info(name, e)
	if e.mode == modeFolder {
		entries, err := t.ReadDir(name)
		if err != nil {
			return nil, err
		}
		return &openFolder{info: info, entries: entries}, nil
	}
	data, err := t.blob(name, e)
	if err != nil {
		return nil, err
	}
	info.size = func() int64 { return int64(len(data)) } // without asking the store once more
	return &openFile{info: info, Reader: bytes.NewReader(data)}, nil
}

func (t *treeFS) Stat(name string) (fs.FileInfo, error) {
	e, err := t.find("stat", name)
	if err != nil {
		return nil, err
	}
	return t.info(name, e), nil
}

func (t *treeFS) ReadFile(name string) ([]byte, error) {
	e, err := t.find("read", name)
	if err != nil {
		return nil, err
	}
	if e.mode == modeFolder {
		return nil, &fs.PathError{Op: "read", Path: name, Err: errors.New("is a folder")}
	}
	return t.blob(name, e)
}

func (t *treeFS) ReadDir(name string) ([]fs.DirEntry, error) {
	e, err := t.find("readdir", name)
	if err != nil {
		return nil, err
	}
	if e.mode != modeFolder {
		return nil, &fs.PathError{Op: "readdir", Path: name, Err: errors.New("not a folder")}
	}
	children, err := t.tree(e.hash)
	if err != nil {
		return nil, &fs.PathError{Op: "readdir", Path: name, Err: err}
	}
	var entries []fs.DirEntry
	for _, child := range children {
		childPath := path.Join(name, child.name)
		if err := supported("readdir", childPath, child); err != nil {
			return nil, err
		}
		entries = append(entries, &dirEntry{fs: t, path: childPath, entry: child})
	}
	slices.SortFunc(entries, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	return entries, nil
}

// Digest names the bytes of a file, or all that a folder holds: as Git does.
func (t *treeFS) Digest(name string) (string, error) {
	e, err := t.find("digest", name)
	if err != nil {
		return "", err
	}
	return e.hash.String(), nil
}

// find walks from the root to name.
func (t *treeFS) find(op, name string) (entry, error) {
	current := entry{name: ".", mode: modeFolder, hash: t.root}
	if !fs.ValidPath(name) {
		return entry{}, &fs.PathError{Op: op, Path: name, Err: fs.ErrInvalid}
	}
	if name == "." {
		return current, nil
	}
	parts := strings.Split(name, "/")
	if len(parts) > maxDepth {
		return entry{}, &fs.PathError{Op: op, Path: clip(name), Err: fmt.Errorf("deeper than %d folders", maxDepth)}
	}
	for i, part := range parts {
		if current.mode != modeFolder {
			return entry{}, &fs.PathError{Op: op, Path: name, Err: fs.ErrNotExist}
		}
		children, err := t.tree(current.hash)
		if err != nil {
			return entry{}, &fs.PathError{Op: op, Path: path.Join(parts[:i]...), Err: err}
		}
		at := slices.IndexFunc(children, func(e entry) bool { return e.name == part })
		if at < 0 {
			return entry{}, &fs.PathError{Op: op, Path: name, Err: fs.ErrNotExist}
		}
		current = children[at]
		if err := supported(op, path.Join(parts[:i+1]...), current); err != nil {
			return entry{}, err
		}
	}
	return current, nil
}

func supported(op, name string, e entry) error {
	switch e.mode {
	case modeSymlink:
		return &fs.PathError{Op: op, Path: name, Err: errors.New("symbolic links are not allowed in a fleet")}
	case modeSubmodule:
		return &fs.PathError{Op: op, Path: name, Err: errors.New("submodules are not allowed in a fleet")}
	}
	return nil
}

func (t *treeFS) blob(name string, e entry) ([]byte, error) {
	data, err := t.store.read(e.hash, plumbing.BlobObject, maxFile)
	if err != nil {
		if n, sizeErr := t.store.size(e.hash); sizeErr == nil && n > maxFile {
			err = fmt.Errorf("file of %d bytes, at most %d are allowed", n, maxFile)
		}
		return nil, &fs.PathError{Op: "read", Path: name, Err: err}
	}
	return data, nil
}

// info does not open the file: most who ask only want to know that it is there. Who
// asks for the size of one that is damaged is told 0, and what is wrong by reading it.
func (t *treeFS) info(name string, e entry) *fileInfo {
	return &fileInfo{name: path.Base(name), mode: e.mode, time: t.time, size: func() int64 {
		if e.mode == modeFolder {
			return 0
		}
		size, err := t.store.size(e.hash)
		if err != nil {
			return 0
		}
		return size
	}}
}

type fileInfo struct {
	name string
	mode mode
	size func() int64
	time time.Time
}

func (i *fileInfo) Name() string       { return i.name }
func (i *fileInfo) Size() int64        { return i.size() }
func (i *fileInfo) ModTime() time.Time { return i.time }
func (i *fileInfo) IsDir() bool        { return i.mode == modeFolder }
func (i *fileInfo) Sys() any           { return nil }
func (i *fileInfo) Mode() fs.FileMode {
	switch i.mode {
	case modeFolder:
		return fs.ModeDir | 0o555
	case modeExecutable:
		return 0o555
	}
	return 0o444
}

type dirEntry struct {
	fs    *treeFS
	path  string
	entry entry
}

func (d *dirEntry) Name() string               { return d.entry.name }
func (d *dirEntry) IsDir() bool                { return d.entry.mode == modeFolder }
func (d *dirEntry) Info() (fs.FileInfo, error) { return d.fs.info(d.path, d.entry), nil }
func (d *dirEntry) Type() fs.FileMode {
	if d.IsDir() {
		return fs.ModeDir
	}
	return 0
}

type openFile struct {
	info *fileInfo
	*bytes.Reader
}

func (f *openFile) Stat() (fs.FileInfo, error) { return f.info, nil }
func (f *openFile) Close() error               { return nil }

type openFolder struct {
	info    *fileInfo
	entries []fs.DirEntry
}

func (f *openFolder) Stat() (fs.FileInfo, error) { return f.info, nil }
func (f *openFolder) Close() error               { return nil }
func (f *openFolder) Read([]byte) (int, error) {
	return 0, &fs.PathError{Op: "read", Path: f.info.name, Err: errors.New("is a folder")}
}

func (f *openFolder) ReadDir(n int) ([]fs.DirEntry, error) {
	if n > 0 && len(f.entries) == 0 {
		return nil, io.EOF
	}
	if n <= 0 || n > len(f.entries) {
		n = len(f.entries)
	}
	page := f.entries[:n]
	f.entries = f.entries[n:]
	return page, nil
}

var (
	_ fs.ReadDirFS   = (*treeFS)(nil)
	_ fs.ReadFileFS  = (*treeFS)(nil)
	_ fs.StatFS      = (*treeFS)(nil)
	_ fs.ReadDirFile = (*openFolder)(nil)
	_ io.ReaderAt    = (*openFile)(nil)
)
