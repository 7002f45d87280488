package secrets

import (
	"errors"
	"io/fs"
)

// Find calls found for each document in dir and below, in the order of their
// names, except in folders that skip names; nil skips none.
func Find(fsys fs.FS, dir string, skip func(dir string) bool, found func(file string, data []byte)) error {
	return fs.WalkDir(fsys, dir, func(name string, e fs.DirEntry, err error) error {
		switch {
		case errors.Is(err, fs.ErrNotExist) && name == dir:
			return nil
		case err != nil:
			return err
		case e.IsDir() && (e.Name() == ".git" || skip != nil && name != dir && skip(name)):
			return fs.SkipDir
		case !e.Type().IsRegular():
			return nil
		}
		data, err := Read(fsys, name)
		if data != nil {
			found(name, data)
		}
		return err
	})
}

// Read reads a file if it is a document; if it is none, there is nothing to read.
func Read(fsys fs.FS, file string) ([]byte, error) {
	info, err := fs.Stat(fsys, file)
	if errors.Is(err, fs.ErrNotExist) || err == nil && (!info.Mode().IsRegular() || info.Size() > MaxSize) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	data, err := fs.ReadFile(fsys, file)
	if err != nil || !Detect(file, data) {
		return nil, err
	}
	return data, nil
}
