package bootstrap

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
)

// removeOthers removes the programs of versions of which nothing runs any more. A pod
// that outlived an upgrade cannot be ended without those that it was started by.
func removeOthers(dir, keep string) error {
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) < 2 {
		return err
	}
	used, err := running(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.Name() == keep || used[e.Name()] {
			continue
		}
		if err := os.RemoveAll(filepath.Join(dir, e.Name())); err != nil {
			return err
		}
	}
	return nil
}

// running names the folders below dir of which programs run. A process says by what path
// it was started, too, for an agent that is confined may not see what it is.
func running(dir string) (map[string]bool, error) {
	processes, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return nil, err
	}
	if len(processes) == 0 {
		return nil, fmt.Errorf("/proc shows no process, so it cannot be told which programs of %s run", dir)
	}
	used := map[string]bool{}
	for _, process := range processes {
		exe, _ := os.Readlink(filepath.Join(process, "exe")) // it may have ended
		line, _ := os.ReadFile(filepath.Join(process, "cmdline"))
		called, _, _ := bytes.Cut(line, []byte{0})
		for _, program := range []string{exe, string(called)} {
			if filepath.Dir(filepath.Dir(program)) == dir {
				used[filepath.Base(filepath.Dir(program))] = true
			}
		}
	}
	return used, nil
}
