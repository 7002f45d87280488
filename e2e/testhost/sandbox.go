// Package testhost boots whole hosts for end-to-end tests: Debian with a
// systemd, cgroups, a network and a disk of its own each, on one LAN.
//
// All of it lives in namespaces of the test's process, so all of it ends with
// the process, however that ends. It needs root, Debian and systemd-nspawn.
package testhost

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// What the outer process tells the inner one: folders.
const (
	insideVariable = "HOLDFAST_TESTHOST_SANDBOX"
	treeVariable   = "HOLDFAST_TESTHOST_TREE"
)

// Inside runs the test again as process 1 of process, mount, IPC and network
// namespaces of its own, where it returns true: the process's own network
// namespace is the LAN of the hosts, which boot from a Debian tree that is
// made below cache the first time. Outside it returns false once the test has
// ended, with what namespaces do not hold removed.
func Inside(t *testing.T, cache string) bool {
	t.Helper()
	if dir := os.Getenv(insideVariable); dir != "" {
		if err := enter(); err != nil {
			t.Fatal(err)
		}
		return true
	}
	timeout := time.Duration(0) // none
	if deadline, ok := t.Deadline(); ok {
		timeout = max(time.Until(deadline)-10*time.Second, time.Second) // so that it can say where it was
	}
	if err := outside(t.Name(), cache, timeout); err != nil {
		t.Fatal(err)
	}
	return false
}

// sandboxes are those of this process. They begin and end one by one: so none is taken
// for one that was left behind.
var sandboxes struct {
	sync.Mutex
	count       int
	interrupted bool
}

func outside(test, cache string, timeout time.Duration) (err error) {
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer signal.Stop(ended)
	var kept bytes.Buffer
	var said io.Writer = &kept // of several at a time each speaks when it has ended
	if flag.Lookup("test.parallel").Value.String() == "1" {
		said = os.Stdout
	}
	cmd, dir, err := begin(test, cache, timeout, said)
	if err != nil {
		return err
	}
	defer func() {
		sandboxes.Lock()
		defer sandboxes.Unlock()
		err = errors.Join(err, end(dir))
		_, _ = os.Stdout.Write(kept.Bytes())
		if sandboxes.count--; sandboxes.interrupted && sandboxes.count == 0 {
			fmt.Fprintln(os.Stderr, "interrupted: the hosts are removed")
			os.Exit(130)
		}
	}()
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	select {
	case err := <-done:
		return err
	case <-ended:
		sandboxes.Lock()
		sandboxes.interrupted = true
		sandboxes.Unlock()
		return errors.Join(cmd.Process.Kill(), <-done) // and with process 1 of the namespace, all others
	}
}

const prefix = "holdfast-hosts-"

// begin starts the test in a sandbox, whose folder it returns.
func begin(test, cache string, timeout time.Duration, said io.Writer) (cmd *exec.Cmd, dir string, err error) {
	sandboxes.Lock()
	defer sandboxes.Unlock()
	if sandboxes.interrupted {
		return nil, "", errors.New("interrupted")
	}
	if err := errors.Join(requirements(), sweep()); err != nil {
		return nil, "", err
	}
	tree, err := makeTree(cache)
	if err != nil {
		return nil, "", err
	}
	if dir, err = os.MkdirTemp("/var/tmp", prefix); err != nil {
		return nil, "", err
	}
	cmd = exec.Command("/proc/self/exe", "-test.run=^"+strings.ReplaceAll(test, "/", "$/^")+"$", "-test.v", "-test.timeout="+timeout.String())
	cmd.Env = append(os.Environ(), insideVariable+"="+dir, treeVariable+"="+tree)
	cmd.Stdout, cmd.Stderr = said, said
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: unix.CLONE_NEWNET | unix.CLONE_NEWPID | unix.CLONE_NEWNS | unix.CLONE_NEWIPC, Pdeathsig: syscall.SIGKILL,
	}
	if err := cmd.Start(); err != nil {
		return nil, "", errors.Join(fmt.Errorf("make namespaces for test hosts: %w", err), end(dir))
	}
	sandboxes.count++
	return cmd, dir, nil
}

// end removes what namespaces do not hold of a sandbox.
func end(dir string) error {
	return errors.Join(removeCgroups(filepath.Base(dir)), os.RemoveAll(dir))
}

func requirements() error {
	if os.Geteuid() != 0 {
		return errors.New("test hosts need root: run this as root, or with sudo")
	}
	for _, program := range []string{"systemd-nspawn", "mmdebstrap", "ip", "nsenter", "mkfs.ext4"} {
		if _, err := exec.LookPath(program); err != nil {
			return fmt.Errorf("test hosts need Debian's packages systemd-container, mmdebstrap, iproute2, util-linux and e2fsprogs (make deps installs them): %w", err)
		}
	}
	return nil
}

// enter makes the namespaces of this process usable: mounts that end with it,
// and a loopback that is up.
func enter() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	// What is unmounted here is so for the hosts, too, which begin with copies of all mounts. And ip netns wants to share them.
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_SHARED, ""); err != nil {
		return fmt.Errorf("share mounts with the hosts: %w", err)
	}
	if err := unix.Mount("proc", "/proc", "proc", 0, ""); err != nil {
		return fmt.Errorf("mount /proc: %w", err)
	}
	for _, run := range []string{"/run/netns", "/run/systemd/nspawn"} {
		if err := os.MkdirAll(run, 0o755); err != nil {
			return err
		}
		if err := unix.Mount("tmpfs", run, "tmpfs", 0, ""); err != nil {
			return fmt.Errorf("mount %s: %w", run, err)
		}
	}
	return ip("link", "set", "lo", "up")
}

// sweep removes the leftovers of sandboxes whose outer process was killed.
func sweep() error {
	dirs, err := filepath.Glob("/var/tmp/" + prefix + "*")
	if err != nil {
		return err
	}
	for _, dir := range dirs {
		if inUse(dir) {
			continue
		}
		if err := end(dir); err != nil {
			return err
		}
	}
	return nil
}

// inUse says whether the environment of a process names the sandbox.
func inUse(dir string) bool {
	environments, _ := filepath.Glob("/proc/[0-9]*/environ")
	for _, file := range environments {
		if data, err := os.ReadFile(file); err == nil && strings.Contains(string(data), insideVariable+"="+dir+"\x00") {
			return true
		}
	}
	return false
}

func ip(args ...string) error { return command("ip", args...) }

func command(name string, args ...string) error {
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, bytes.TrimSpace(out))
	}
	return nil
}
