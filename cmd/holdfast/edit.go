package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"

	"github.com/holdfast-fleet/holdfast/durable"
	"github.com/holdfast-fleet/holdfast/fleet"
)

// fleetEdit is files of a fleet to be written together, or not at all.
type fleetEdit struct {
	dir   string
	files map[string][]byte // path in the fleet → new content
	made  []string          // folders that were not there, each before what is in it
}

func editFleet(dir string) *fleetEdit { return &fleetEdit{dir: dir, files: map[string][]byte{}} }

func (e *fleetEdit) full(name string) string { return filepath.Join(e.dir, filepath.FromSlash(name)) }

// read returns a file as it will be.
func (e *fleetEdit) read(name string) ([]byte, error) {
	if data, ok := e.files[name]; ok {
		return data, nil
	}
	return fleet.ReadFile(os.DirFS(e.dir), name, fleet.MaxFileSize)
}

// create adds a file, which must not be there.
func (e *fleetEdit) create(name string, data []byte) error {
	if !fs.ValidPath(name) {
		return usagef("%q is not a path in the fleet", name)
	}
	if _, err := os.Lstat(e.full(name)); err == nil {
		return &fleet.Problem{File: name, Msg: "the file is already there", Tip: "choose another name, or edit it"}
	}
	e.files[name] = data
	return nil
}

// set sets values in a file; keys are paths in it.
func (e *fleetEdit) set(name string, value any, path ...string) error {
	data, err := e.read(name)
	if err != nil {
		return err
	}
	if data, err = fleet.SetYAML(name, data, value, path...); err != nil {
		return err
	}
	e.files[name] = data
	return nil
}

// names lists the files that differ from what is there.
func (e *fleetEdit) names() []string {
	var names []string
	for name, data := range e.files {
		if old, err := os.ReadFile(e.full(name)); err != nil || !bytes.Equal(old, data) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// write writes the files and checks that the fleet loads with them; otherwise it
// takes them back.
func (e *fleetEdit) write() (names []string, err error) {
	names = e.names()
	old := map[string][]byte{}
	defer func() {
		if err != nil {
			err = errors.Join(err, e.restore(old))
		}
	}()
	for _, name := range names {
		before, err := os.ReadFile(e.full(name))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		old[name] = before
		if err := e.mkdir(path.Dir(name)); err != nil {
			return nil, err
		}
		if err := durable.WriteFile(e.full(name), e.files[name], 0o644); err != nil {
			return nil, err
		}
	}
	if _, err := fleet.LoadWith(os.DirFS(e.dir), fleet.Options{Pins: &clonePins{dir: e.dir}}); err != nil {
		return nil, fmt.Errorf("nothing was changed, because the fleet would not load: %w", err)
	}
	return names, nil
}

// mkdir makes a folder and those above it, and remembers which it made.
func (e *fleetEdit) mkdir(dir string) error {
	if _, err := os.Stat(e.full(dir)); dir == "." || err == nil {
		return err
	}
	if err := e.mkdir(path.Dir(dir)); err != nil {
		return err
	}
	e.made = append(e.made, dir)
	return os.Mkdir(e.full(dir), 0o755)
}

// restore puts files back; nil removes one that was not there.
func (e *fleetEdit) restore(old map[string][]byte) error {
	var errs []error
	for name, data := range old {
		if data == nil {
			if err := os.Remove(e.full(name)); !errors.Is(err, fs.ErrNotExist) {
				errs = append(errs, err)
			}
			continue
		}
		errs = append(errs, durable.WriteFile(e.full(name), data, 0o644))
	}
	for _, dir := range slices.Backward(e.made) {
		errs = append(errs, os.Remove(e.full(dir)))
	}
	return errors.Join(errs...)
}
