// Package durable writes files that are whole after a power cut: either the
// old content or the new, never a part of it.
package durable

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// WriteFile replaces path with data, with the permission bits perm. When it
// returns nil the new content and its name are on disk.
func WriteFile(path string, data []byte, perm os.FileMode) error {
	return Disk{}.WriteFile(path, data, perm)
}

// Sweep removes what power cuts left of calls of WriteFile for path, which nobody may be writing just now.
func Sweep(path string) error {
	dir := filepath.Dir(path)
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), temporary(path)) {
			err = errors.Join(err, os.Remove(filepath.Join(dir, e.Name())))
		}
	}
	return err
}

// temporary is how the names begin of files that are to become path.
func temporary(path string) string { return "." + filepath.Base(path) + ".tmp-" }

// SyncDir makes the names in dir durable: what was created, renamed or removed
// in it stays so after a power cut.
func SyncDir(dir string) error { return Disk{}.SyncDir(dir) }

// WriteFile is [WriteFile], on d.
func (d Disk) WriteFile(path string, data []byte, perm os.FileMode) (err error) {
	dir := filepath.Dir(path)
	tmp, err := d.createTemp(dir, temporary(path)+"*")
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	defer func() {
		if err != nil {
			tmp.Close()
			os.Remove(tmp.Name())
			err = fmt.Errorf("write %s: %w", path, err)
		}
	}()
	if err := tmp.Chmod(perm); err != nil {
		return err
	}
	if _, err := tmp.Write(data); err != nil {
		return err
	}
	if err := tmp.Sync(); err != nil {
		return err
	}
	if err := tmp.Close(); err != nil {
		return err
	}
	if err := d.Rename(tmp.Name(), path); err != nil {
		return err
	}
	return d.SyncDir(dir)
}
