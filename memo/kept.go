package memo

import (
	"bytes"
	"io/fs"
	"path"
	"slices"
	"time"
)

// What a tree reads for its digests it keeps, to be read again: a fleet is many
// thousand small files, and opening one takes longer than reading it.
const (
	maxKept    = 64 << 20 // bytes of all files
	maxKeptOne = 16 << 10 // of one
)

func (t *Tree) keep(s *sum, data []byte) {
	if len(data) <= maxKeptOne && t.kept.Add(int64(len(data))) <= maxKept {
		s.data.Store(&data)
	}
}

func (t *Tree) sumOf(name string) *sum {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.known[name]
}

// keptFile is what was read of a file; nil if it is not kept.
func (t *Tree) keptFile(name string) *keptFile {
	s := t.sumOf(name)
	if s == nil {
		return nil
	}
	data := s.data.Load()
	if data == nil {
		return nil
	}
	return &keptFile{path.Base(name), int64(len(*data)), *bytes.NewReader(*data)}
}

// Open opens a file or folder.
func (t *Tree) Open(name string) (fs.File, error) {
	if f := t.keptFile(name); f != nil {
		return f, nil
	}
	return t.dirFS.Open(name)
}

// Stat describes a file or folder.
func (t *Tree) Stat(name string) (fs.FileInfo, error) {
	if f := t.keptFile(name); f != nil {
		return f, nil
	}
	return fs.Stat(t.dirFS, name)
}

// ReadFile returns the content of a file.
func (t *Tree) ReadFile(name string) ([]byte, error) {
	if f := t.keptFile(name); f != nil {
		data := make([]byte, f.size)
		_, err := f.ReadAt(data, 0)
		return data, err
	}
	return fs.ReadFile(t.dirFS, name)
}

// ReadDir lists a folder, ordered by name.
func (t *Tree) ReadDir(name string) ([]fs.DirEntry, error) {
	if s := t.sumOf(name); s != nil {
		if entries := s.entries.Load(); entries != nil {
			return slices.Clone(*entries), nil
		}
	}
	return fs.ReadDir(t.dirFS, name)
}

// Lstat describes a file without following it, if it is a link.
func (t *Tree) Lstat(name string) (fs.FileInfo, error) { return fs.Lstat(t.dirFS, name) }

// ReadLink returns what a link names.
func (t *Tree) ReadLink(name string) (string, error) { return fs.ReadLink(t.dirFS, name) }

// keptFile is an open file, and its description.
type keptFile struct {
	name string
	size int64
	bytes.Reader
}

func (f *keptFile) Stat() (fs.FileInfo, error) { return f, nil }
func (f *keptFile) Close() error               { return nil }
func (f *keptFile) Name() string               { return f.name }
func (f *keptFile) Size() int64                { return f.size }
func (f *keptFile) Mode() fs.FileMode          { return 0o444 }
func (f *keptFile) ModTime() time.Time         { return time.Time{} }
func (f *keptFile) IsDir() bool                { return false }
func (f *keptFile) Sys() any                   { return nil }
