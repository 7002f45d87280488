package system

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/holdfast-fleet/holdfast/durable"
)

// Exists tells whether there is a file or folder of that name.
func Exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// SameFile tells whether two files hold the same.
func SameFile(a, b string) (bool, error) {
	x, err := os.ReadFile(a)
	if err != nil {
		return false, err
	}
	y, err := os.ReadFile(b)
	return bytes.Equal(x, y), err
}

// Holds tells whether every file, path → content, is as it should be.
func Holds(files map[string]string) bool {
	for path, want := range files {
		if have, err := os.ReadFile(path); err != nil || string(have) != want {
			return false
		}
	}
	return true
}

// Write writes the files, path → content, that differ, and says which. Units are for
// everybody to read; other files may have secrets.
func Write(files map[string]string) (changed []string, err error) {
	for path, want := range files {
		if err := durable.Sweep(path); err != nil { // others read all that is in some of these folders
			return nil, err
		}
		have, err := os.ReadFile(path)
		if err == nil && bytes.Equal(have, []byte(want)) {
			continue
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return nil, err
		}
		mode := os.FileMode(0o600)
		if strings.HasPrefix(path, UnitDir) || strings.HasPrefix(path, RunUnitDir) {
			mode = 0o644
		}
		if err := durable.WriteFile(path, []byte(want), mode); err != nil {
			return nil, err
		}
		changed = append(changed, path)
	}
	return changed, nil
}

// Sync puts the file systems of folders on disk: what other programs write there is not,
// for up to half a minute, and a power cut would leave empty files.
func Sync(dirs ...string) error {
	for _, dir := range dirs {
		f, err := os.Open(dir)
		if err != nil {
			return err
		}
		if err := errors.Join(unix.Syncfs(int(f.Fd())), f.Close()); err != nil {
			return fmt.Errorf("put %s on disk: %w", dir, err)
		}
	}
	return nil
}

// synchronous is FS_SYNC_FL of linux/fs.h.
const synchronous = 0x8

// MakeSynced makes folders. What is written in them, and in folders made in them, is on disk at
// once, as attribute S of chattr(1) has it; not on file systems that do not know it.
func MakeSynced(dirs ...string) error {
	for _, dir := range dirs {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return err
		}
		f, err := os.Open(dir)
		if err != nil {
			return err
		}
		flags, err := unix.IoctlGetUint32(int(f.Fd()), unix.FS_IOC_GETFLAGS)
		if err == nil && flags&synchronous == 0 {
			err = unix.IoctlSetPointerInt(int(f.Fd()), unix.FS_IOC_SETFLAGS, int(flags|synchronous))
		}
		if err := errors.Join(err, f.Close()); err != nil && !errors.Is(err, errors.ErrUnsupported) && !errors.Is(err, unix.ENOTTY) {
			return fmt.Errorf("have %s written to disk at once: %w", dir, err)
		}
	}
	return nil
}

// Place writes a file that is there whole or not at all. Until then it is beside
// its folder, for somebody may watch that.
func Place(path string, write func(io.Writer) error) error {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	partial := filepath.Join(filepath.Dir(dir), "."+filepath.Base(path)+".partial")
	defer os.Remove(partial)
	f, err := os.OpenFile(partial, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	if err := errors.Join(write(f), f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(partial, path); err != nil {
		return err
	}
	return durable.SyncDir(dir)
}

// Link makes path a symbolic link to target, in place of whatever link it was.
func Link(path, target string) error {
	if have, err := os.Readlink(path); err == nil && have == target {
		return nil
	}
	partial := path + ".holdfast"
	if err := errors.Join(os.RemoveAll(partial), os.MkdirAll(filepath.Dir(path), 0o755)); err != nil {
		return err
	}
	if err := os.Symlink(target, partial); err != nil {
		return err
	}
	if err := os.Rename(partial, path); err != nil {
		return err
	}
	return durable.SyncDir(filepath.Dir(path))
}

// Empty removes what is in a folder, which itself may be a mount.
func Empty(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	errs := []error{err}
	for _, e := range entries {
		errs = append(errs, os.RemoveAll(filepath.Join(dir, e.Name())))
	}
	return errors.Join(errs...)
}
