package durable

import (
	"io"
	"os"
	"path/filepath"
)

// Disk is the file system. Its zero value is the plain one.
type Disk struct {
	// Before is called ahead of every change; if it returns an error, the change
	// is not made and fails with that error. It lets tests fail a change, or note
	// what a power cut between two of them would leave.
	Before func(Change) error
}

// Op is a kind of change.
type Op string

// The changes.
const (
	Create  Op = "create"  // an empty file at Path
	Write   Op = "write"   // Data at the end of Path
	Sync    Op = "sync"    // the content of Path is on disk from here on
	Rename  Op = "rename"  // Path becomes To
	Remove  Op = "remove"  // Path, and all in it
	Mkdir   Op = "mkdir"   // Path, and the folders above
	SyncAll Op = "syncdir" // the names in Path are on disk from here on
)

// Change is one of a Disk.
type Change struct {
	Op   Op
	Path string
	To   string // of a Rename
	Data []byte // of a Write; valid until the callback returns
}

func (d Disk) before(c Change) error {
	if d.Before == nil {
		return nil
	}
	return d.Before(c)
}

// File is a file that is being written.
type File struct {
	*os.File
	disk Disk
}

// Create makes an empty file, or empties the one that is there.
func (d Disk) Create(path string) (*File, error) {
	if err := d.before(Change{Op: Create, Path: path}); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	return &File{f, d}, nil
}

// Append opens a file to write at its end, which is made if it is not there.
func (d Disk) Append(path string) (*File, error) {
	if _, err := os.Stat(path); err != nil {
		f, err := d.Create(path)
		if err != nil {
			return nil, err
		}
		f.Close()
		if err := d.SyncDir(filepath.Dir(path)); err != nil {
			return nil, err
		}
	}
	f, err := os.OpenFile(path, os.O_APPEND|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	return &File{f, d}, nil
}

func (d Disk) createTemp(dir, pattern string) (*File, error) {
	f, err := os.CreateTemp(dir, pattern)
	if err != nil {
		return nil, err
	}
	if err := d.before(Change{Op: Create, Path: f.Name()}); err != nil {
		f.Close()
		os.Remove(f.Name())
		return nil, err
	}
	return &File{f, d}, nil
}

func (f *File) Write(p []byte) (int, error) {
	if err := f.disk.before(Change{Op: Write, Path: f.Name(), Data: p}); err != nil {
		return 0, err
	}
	return f.File.Write(p)
}

// WriteString hides the one of os.File, which would write past the Disk.
func (f *File) WriteString(s string) (int, error) { return f.Write([]byte(s)) }

// ReadFrom hides the one of os.File, which would write past the Disk.
func (f *File) ReadFrom(r io.Reader) (int64, error) {
	return io.Copy(struct{ io.Writer }{f}, r)
}

// Sync puts the content on disk.
func (f *File) Sync() error {
	if err := f.disk.before(Change{Op: Sync, Path: f.Name()}); err != nil {
		return err
	}
	return f.File.Sync()
}

// Rename gives path the name to, in place of what has it.
func (d Disk) Rename(path, to string) error {
	if err := d.before(Change{Op: Rename, Path: path, To: to}); err != nil {
		return err
	}
	return os.Rename(path, to)
}

// RemoveAll removes path and all in it; it need not exist.
func (d Disk) RemoveAll(path string) error {
	if err := d.before(Change{Op: Remove, Path: path}); err != nil {
		return err
	}
	return os.RemoveAll(path)
}

// MkdirAll makes a folder and those above it, with mode 0700, unless it is there.
func (d Disk) MkdirAll(path string) error {
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		return nil
	}
	if err := d.before(Change{Op: Mkdir, Path: path}); err != nil {
		return err
	}
	return os.MkdirAll(path, 0o700)
}

// MkdirTemp makes a new folder in dir, as os.MkdirTemp does.
func (d Disk) MkdirTemp(dir, pattern string) (string, error) {
	path, err := os.MkdirTemp(dir, pattern)
	if err != nil {
		return "", err
	}
	if err := d.before(Change{Op: Mkdir, Path: path}); err != nil {
		os.Remove(path)
		return "", err
	}
	return path, nil
}

// SyncDir is [SyncDir], on d.
func (d Disk) SyncDir(path string) error {
	if err := d.before(Change{Op: SyncAll, Path: path}); err != nil {
		return err
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}

// SyncFile puts the content of a file that is not open on disk.
func (d Disk) SyncFile(path string) error {
	if err := d.before(Change{Op: Sync, Path: path}); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}
