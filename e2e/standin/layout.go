package main

import (
	"errors"
	"os"

	"github.com/holdfast-fleet/holdfast/durable"
)

// layout is where the files of an embedded cluster lie.
type layout struct{ dir, bin, run, kubelet string }

// shim is looked for by its path, so it must not be a link.
const shim = "containerd-shim-runc-v2"

func (l layout) make() error {
	if err := folders(l.run, l.kubelet, l.dir+"/data", l.bin); err != nil {
		return err
	}
	links := map[string]string{l.dir + "/run": l.run, l.dir + "/data/kubelet": l.kubelet}
	names, err := os.ReadDir(programs)
	if err != nil {
		return err
	}
	for _, e := range names {
		if e.Name() != shim {
			links[l.bin+"/"+e.Name()] = programs + "/" + e.Name()
		}
	}
	if err := link(links); err != nil {
		return err
	}
	data, err := os.ReadFile(programs + "/" + shim)
	if err != nil || sameSize(l.bin+"/"+shim, len(data)) {
		return err
	}
	return durable.WriteFile(l.bin+"/"+shim, data, 0o755)
}

func sameSize(file string, size int) bool {
	info, err := os.Stat(file)
	return err == nil && info.Size() == int64(size)
}

func folders(paths ...string) error {
	for _, path := range paths {
		if err := os.MkdirAll(path, 0o755); err != nil {
			return err
		}
	}
	return nil
}

// link makes symbolic links that are not there yet, path → target.
func link(links map[string]string) error {
	for path, target := range links {
		if err := os.Symlink(target, path); err != nil && !errors.Is(err, os.ErrExist) {
			return err
		}
	}
	return nil
}
