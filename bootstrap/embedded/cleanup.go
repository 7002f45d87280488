package embedded

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	cgroupMount = "/sys/fs/cgroup"
	podGrace    = 5 * time.Second // from SIGTERM to SIGKILL
)

// Stop ends everything that runs in dir: the supervisor, its processes and the
// pods. It unmounts what they mounted and keeps the data.
func Stop(ctx context.Context, dir string) error {
	if err := stopSupervisor(ctx, dir); err != nil {
		return err
	}
	if err := endPods(ctx, cgroupOf(dir)); err != nil {
		return err
	}
	if err := unmountBelow(dir); err != nil {
		return err
	}
	return removeCgroups(ctx, cgroupOf(dir))
}

// Halt ends the supervisor and its processes. Pods go on, and the next Ensure finds them.
func Halt(ctx context.Context, dir string) error { return stopSupervisor(ctx, dir) }

// Reset stops what runs in dir, then removes what it made on the machine, and
// dir itself. The network is left alone where it is not this one: the network
// namespace it was in takes it along when it ends.
func Reset(ctx context.Context, dir string) error {
	if err := Stop(ctx, dir); err != nil {
		return err
	}
	if err := unplug(ctx, dir); err != nil {
		return err
	}
	for _, pattern := range []string{"/var/lib/cni/*/" + cgroupOf(dir) + "-*"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			return err
		}
		for _, f := range files {
			os.Remove(f)
		}
	}
	if err := removeLinksInto(dir, "/var/log/containers"); err != nil {
		return err
	}
	return os.RemoveAll(dir)
}

// unplug removes bridge and packet filter rules with the program that made
// them, which lies beside the one that runs first.
func unplug(ctx context.Context, dir string) error {
	data, err := os.ReadFile(filepath.Join(dir, "etc", "node.json"))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	var spec nodeFile
	if err == nil {
		err = json.Unmarshal(data, &spec)
	}
	if err != nil {
		return fmt.Errorf("read what ran in %s: %w", dir, err)
	}
	where, err := os.ReadFile(filepath.Join(dir, "run", "network"))
	if err != nil || spec.Network == nil || len(spec.Processes) == 0 || string(where) != networkNamespace() {
		return nil
	}
	program := filepath.Join(filepath.Dir(spec.Processes[0].Args[0]), "node")
	out, err := exec.CommandContext(ctx, program, "unplug", "--bridge="+spec.Network.Bridge).CombinedOutput()
	if err != nil {
		return fmt.Errorf("remove the network of %s: %w: %s", dir, err, bytes.TrimSpace(out))
	}
	return nil
}

// endPods ends every process in the cgroup, politely at first.
func endPods(ctx context.Context, cgroup string) error {
	began := time.Now()
	asked := map[int]bool{}
	for {
		pids, err := processesIn(cgroup)
		if err != nil || len(pids) == 0 {
			return err
		}
		for _, pid := range pids {
			if time.Since(began) > podGrace {
				_ = syscall.Kill(pid, syscall.SIGKILL)
			} else if !asked[pid] {
				asked[pid] = true
				_ = syscall.Kill(pid, syscall.SIGTERM)
			}
		}
		if err := pause(ctx); err != nil {
			return fmt.Errorf("end %d processes of pods: %w", len(pids), err)
		}
	}
}

// cgroupDirs returns the folders of the cgroup and of those in it, in every
// hierarchy, the deepest first.
func cgroupDirs(cgroup string) ([]string, error) {
	roots, err := filepath.Glob(filepath.Join(cgroupMount, "*", cgroup))
	if err != nil {
		return nil, err
	}
	var dirs []string
	for _, root := range append(roots, filepath.Join(cgroupMount, cgroup)) {
		err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err == nil && d.IsDir() {
				dirs = append(dirs, path)
			}
			if errors.Is(err, os.ErrNotExist) {
				return nil
			}
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	slices.Reverse(dirs)
	return dirs, nil
}

func processesIn(cgroup string) ([]int, error) {
	dirs, err := cgroupDirs(cgroup)
	if err != nil {
		return nil, err
	}
	var pids []int
	for _, dir := range dirs {
		data, err := os.ReadFile(filepath.Join(dir, "cgroup.procs"))
		if err != nil {
			continue // gone since, or a v1 folder that has none
		}
		for line := range bytes.FieldsSeq(data) {
			if pid, err := strconv.Atoi(string(line)); err == nil && pid > 1 && pid != os.Getpid() {
				pids = append(pids, pid)
			}
		}
	}
	slices.Sort(pids)
	return slices.Compact(pids), nil
}

// removeCgroups removes the cgroup; a process that has just ended may hold it a moment longer.
func removeCgroups(ctx context.Context, cgroup string) error {
	for {
		dirs, err := cgroupDirs(cgroup)
		if err != nil || len(dirs) == 0 {
			return err
		}
		var last error
		for _, dir := range dirs {
			if err := unix.Rmdir(dir); err != nil && err != unix.ENOENT {
				last = fmt.Errorf("remove cgroup %s: %w", dir, err)
			}
		}
		if last == nil {
			continue
		}
		if err := pause(ctx); err != nil {
			return last
		}
	}
}

// unmountBelow detaches every mount below dir that this mount namespace has, the newest first.
func unmountBelow(dir string) error {
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return err
	}
	defer f.Close()
	var points []string
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		// Field 5 is the mount point, blanks as octal (proc_pid_mountinfo(5)).
		if fields := strings.Fields(lines.Text()); len(fields) > 4 {
			point := strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`).Replace(fields[4])
			if strings.HasPrefix(point, dir+"/") {
				points = append(points, point)
			}
		}
	}
	if err := lines.Err(); err != nil {
		return err
	}
	for _, point := range slices.Backward(points) {
		if err := unix.Unmount(point, unix.MNT_DETACH); err != nil && err != unix.EINVAL {
			return fmt.Errorf("unmount %s: %w", point, err)
		}
	}
	return nil
}

// removeLinksInto removes the links that the kubelet makes for old log readers.
func removeLinksInto(dir, folder string) error {
	entries, err := os.ReadDir(folder)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, e := range entries {
		path := filepath.Join(folder, e.Name())
		if target, err := os.Readlink(path); err == nil && strings.HasPrefix(target, dir+"/") {
			os.Remove(path)
		}
	}
	return nil
}
