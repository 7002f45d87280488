package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

const cgroupMount = "/sys/fs/cgroup"

// enterCgroup makes the cgroup called name below the root of each hierarchy
// and moves this program into its child "node". The kubelet makes the pods'
// cgroups beside that, so removing name removes them all, and only them.
func enterCgroup(name string) error {
	roots, err := hierarchies()
	if err != nil {
		return fmt.Errorf("find cgroups: %w", err)
	}
	for _, root := range roots {
		if err := enterHierarchy(root, name); err != nil {
			return fmt.Errorf("enter cgroup %s in %s: %w", name, root, err)
		}
	}
	return nil
}

// hierarchies returns the mount points: one for cgroup v2, one a controller for v1.
func hierarchies() ([]string, error) {
	var fs unix.Statfs_t
	if err := unix.Statfs(cgroupMount, &fs); err != nil {
		return nil, err
	}
	if fs.Type == unix.CGROUP2_SUPER_MAGIC {
		return []string{cgroupMount}, nil
	}
	files, err := filepath.Glob(cgroupMount + "/*/cgroup.procs")
	if err != nil {
		return nil, err
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("%s has no hierarchy; in a namespace of its own, mount the machine's cgroups there", cgroupMount)
	}
	for i, f := range files {
		files[i] = filepath.Dir(f)
	}
	return files, nil
}

func enterHierarchy(root, name string) error {
	dir := filepath.Join(root, name)
	leaf := filepath.Join(dir, "node")
	if err := os.MkdirAll(leaf, 0o755); err != nil {
		return err
	}
	if controllers, err := os.ReadFile(filepath.Join(root, "cgroup.controllers")); err == nil {
		for _, parent := range []string{root, dir} {
			for c := range bytes.FieldsSeq(controllers) {
				// A controller that a v1 hierarchy holds cannot be had here; the kubelet says so if it matters.
				_ = os.WriteFile(filepath.Join(parent, "cgroup.subtree_control"), append([]byte("+"), c...), 0)
			}
		}
	}
	for _, child := range []string{dir, leaf} {
		for _, file := range []string{"cpuset.cpus", "cpuset.mems"} {
			if err := inherit(child, file); err != nil {
				return err
			}
		}
	}
	return os.WriteFile(filepath.Join(leaf, "cgroup.procs"), strconv.AppendInt(nil, int64(os.Getpid()), 10), 0)
}

// inherit copies a v1 cpuset's file from the parent: empty, it admits no process.
func inherit(dir, file string) error {
	have, err := os.ReadFile(filepath.Join(dir, file))
	if err != nil || len(bytes.TrimSpace(have)) > 0 {
		return nil // no cpuset here, or set already
	}
	if _, err := os.Stat(filepath.Join(dir, "cgroup.controllers")); err == nil {
		return nil // cgroup v2 inherits by itself
	}
	above, err := os.ReadFile(filepath.Join(filepath.Dir(dir), file))
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, file), bytes.TrimSpace(above), 0)
}
