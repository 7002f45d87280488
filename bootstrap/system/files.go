package system

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/holdfast-fleet/holdfast/durable"
)

// Exists tells whether there is a file or folder of that name.
func Exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
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

// Write writes the files, path → content, that differ, and says which.
func Write(files map[string]string) (changed []string, err error) {
	for path, want := range files {
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
		if err := durable.WriteFile(path, []byte(want), 0o644); err != nil {
			return nil, err
		}
		changed = append(changed, path)
	}
	return changed, nil
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
