package testhost

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

const cgroupRoot = "/sys/fs/cgroup"

// controllers are the folders of cgroup v1's hierarchies, without those that link to another.
func controllers() ([]string, error) {
	entries, err := os.ReadDir(cgroupRoot)
	if err != nil {
		return nil, err
	}
	var found []string
	for _, e := range entries {
		dir := filepath.Join(cgroupRoot, e.Name())
		if _, err := os.Stat(filepath.Join(dir, "cgroup.procs")); err == nil && e.IsDir() {
			found = append(found, dir)
		}
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("no cgroup hierarchy below %s: test hosts need those of version 1", cgroupRoot)
	}
	return found, nil
}

// makeCgroup makes a cgroup of its own in each hierarchy for the host, and
// returns the script lines by which a shell moves itself there. Without it the
// kubelets of two hosts share one and end each other's pods.
func makeCgroup(sandbox, host string) (enter string, err error) {
	dirs, err := controllers()
	if err != nil {
		return "", err
	}
	var script strings.Builder
	for _, dir := range dirs {
		for _, name := range []string{sandbox, filepath.Join(sandbox, host)} {
			if err := os.MkdirAll(filepath.Join(dir, name), 0o755); err != nil {
				return "", err
			}
			for _, file := range []string{"cpuset.cpus", "cpuset.mems"} {
				if err := inherit(filepath.Join(dir, name), file); err != nil {
					return "", err
				}
			}
		}
		fmt.Fprintf(&script, "echo 0 >%s\n", filepath.Join(dir, sandbox, host, "cgroup.procs"))
	}
	return script.String(), nil
}

// inherit fills a file of cpuset, which no process may enter while it is empty.
func inherit(dir, file string) error {
	parent, err := os.ReadFile(filepath.Join(filepath.Dir(dir), file))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, file), parent, 0o644)
}

// removeCgroups removes the cgroups of a sandbox, once the processes in them are gone.
func removeCgroups(name string) error {
	dirs, err := filepath.Glob(filepath.Join(cgroupRoot, "*", name))
	if err != nil {
		return err
	}
	deadline := time.Now().Add(20 * time.Second)
	for _, dir := range dirs {
		for {
			err = removeTree(dir)
			if err == nil || time.Now().After(deadline) {
				break
			}
			time.Sleep(50 * time.Millisecond)
		}
		if err != nil {
			return fmt.Errorf("remove the cgroups of test hosts: %w", err)
		}
	}
	return nil
}

// removeTree removes cgroups from the leaves up: their files cannot be removed, and need not be.
func removeTree(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.IsDir() {
			if err := removeTree(filepath.Join(dir, e.Name())); err != nil {
				return err
			}
		}
	}
	return os.Remove(dir)
}
