package embedded

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const pollEvery = 25 * time.Millisecond

// startOrReload makes a supervisor run that is of this version and knows the newest configuration.
func (n *node) startOrReload(ctx context.Context) error {
	pid := n.holder()
	if pid != 0 {
		program, err := filepath.EvalSymlinks(n.program()) // as the kernel names it
		if exe, _ := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid)); err == nil && exe == program {
			return syscall.Kill(pid, syscall.SIGHUP)
		}
	}
	if err := stopSupervisor(ctx, n.Dir); err != nil {
		return err
	}
	return n.start()
}

// hidden stands for a supervisor in a pid namespace that is not seen from here.
const hidden = -1

// program is the supervisor, kube/node.
func (n *node) program() string { return n.Bin + "/node" }

// holder returns the process id of the running supervisor, 0 or hidden.
func (n *node) holder() int { return holder(n.Dir) }

// holder asks the kernel who holds the supervisor's lock: that is true at once after any crash.
func holder(dir string) int {
	f, err := os.OpenFile(filepath.Join(dir, "run", "node.lock"), os.O_RDWR, 0)
	if err != nil {
		return 0
	}
	defer f.Close()
	lock := unix.Flock_t{Type: unix.F_WRLCK, Whence: io.SeekStart}
	if err := unix.FcntlFlock(f.Fd(), unix.F_GETLK, &lock); err != nil || lock.Type == unix.F_UNLCK {
		return 0
	}
	if lock.Pid == 0 {
		return hidden
	}
	return int(lock.Pid)
}

// start runs a supervisor that outlives this process, unless it has a lifeline to it.
func (n *node) start() error {
	if err := os.WriteFile(n.path("run", "network"), []byte(networkNamespace()), 0o600); err != nil {
		return err
	}
	out, err := os.Create(n.path("log", "start.log"))
	if err != nil {
		return err
	}
	defer out.Close()
	args := []string{"run", "--config=" + configFile(n.Dir)}
	if n.Lifeline {
		args = append(args, "--lifeline")
	}
	cmd := exec.Command(n.program(), args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = "/", out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if n.Lifeline {
		if _, err := cmd.StdinPipe(); err != nil { // closed by the kernel when this process ends
			return err
		}
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	go func() { _ = cmd.Wait() }()
	return nil
}

// networkNamespace names the one this process is in: "net:[4026531840]".
func networkNamespace() string {
	name, _ := os.Readlink("/proc/self/ns/net") // without /proc nothing runs at all
	return name
}

// stopSupervisor ends the supervisor of dir and all its processes, but no pods.
func stopSupervisor(ctx context.Context, dir string) error {
	pid := holder(dir)
	if pids, err := processesIn(cgroupOf(dir)); pid == hidden && err == nil && len(pids) > 0 {
		return nil // its cgroup ends it
	}
	if pid == hidden {
		return fmt.Errorf("stop the supervisor in %s: it runs in another pid namespace", dir)
	}
	if pid != 0 {
		if err := syscall.Kill(pid, syscall.SIGTERM); err != nil && !errors.Is(err, syscall.ESRCH) {
			return fmt.Errorf("stop supervisor %d: %w", pid, err)
		}
	}
	for holder(dir) != 0 || isOf(pid, dir) { // it lets go of the lock a little before it has ended
		if err := pause(ctx); err != nil {
			_ = syscall.Kill(pid, syscall.SIGKILL)
			return fmt.Errorf("wait for supervisor %d to end: %w", pid, err)
		}
	}
	return endOrphans(ctx, dir)
}

// endOrphans ends processes of a supervisor that was killed. The kernel kills
// them with it, but not within a bounded time.
func endOrphans(ctx context.Context, dir string) error {
	files, err := filepath.Glob(filepath.Join(dir, "run", "*.pid"))
	if err != nil {
		return err
	}
	for _, file := range files {
		for belongs(file, dir) {
			pid := readPID(file)
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
				return err
			}
			if err := pause(ctx); err != nil {
				return err
			}
		}
		os.Remove(file)
	}
	return nil
}

func belongs(file, dir string) bool { return isOf(readPID(file), dir) }

// isOf tells whether a process lives and is one of dir's: its command line names dir.
func isOf(pid int, dir string) bool {
	if pid <= 0 {
		return false
	}
	line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	return err == nil && strings.Contains(string(line), dir+"/")
}

func readPID(file string) int {
	data, err := os.ReadFile(file)
	if err != nil {
		return 0
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(data)))
	if err != nil {
		return 0
	}
	return pid
}

// pause waits a moment, or returns ctx's error.
func pause(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(pollEvery):
		return nil
	}
}
