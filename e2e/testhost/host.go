package testhost

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Host is one machine: its disk outlives its power.
type Host struct {
	Name    string
	Address string

	lan      *LAN
	dir      string
	disk     disk
	launcher *exec.Cmd
	console  bytes.Buffer
	exited   chan error
}

// plain are folders of a host that cannot lie on an overlay, for they get overlays themselves.
var plain = []string{"/var/lib/containerd", "/var/lib/kubelet", "/var/lib/etcd", "/var/lib/rancher", "/var/lib/k0s"}

// install gives the host an empty disk over the layers and the tree, and its cable.
// One that was there before is another machine then, which took its place.
func (h *Host) install(layers []string) error {
	h.disk = disk{dir: h.dir, lower: append(slices.Clone(layers), h.lan.tree)}
	if _, err := os.Stat(h.Root()); err == nil {
		if err := errors.Join(h.disk.unmount(), os.RemoveAll(h.dir), h.lan.unplug(h.Name)); err != nil {
			return fmt.Errorf("host %s: take it away: %w", h.Name, err)
		}
	}
	if err := h.disk.create(); err != nil {
		return fmt.Errorf("host %s: its disk: %w", h.Name, err)
	}
	for _, dir := range plain {
		if err := os.MkdirAll(h.disk.plain(dir), 0o700); err != nil {
			return err
		}
		if err := os.MkdirAll(h.Path(dir), 0o700); err != nil {
			return err
		}
	}
	for file, text := range map[string]string{"/etc/hosts": h.lan.hosts(), "/etc/hostname": h.Name + "\n"} {
		if err := os.WriteFile(h.Path(file), []byte(text), 0o644); err != nil {
			return err
		}
	}
	if err := h.disk.sync(); err != nil {
		return fmt.Errorf("host %s: its disk: %w", h.Name, err)
	}
	return h.lan.plug(h.Name)
}

// Root is the folder of the host's root file system.
func (h *Host) Root() string { return h.disk.root() }

// Path is where a file of the host is for the test.
func (h *Host) Path(file string) string { return filepath.Join(h.Root(), file) }

// Boot turns the host on and returns when its systemd has started everything, or has
// waited for a while for what may need another host that is off.
func (h *Host) Boot(ctx context.Context) error {
	enter, err := makeCgroup(filepath.Base(h.lan.dir), h.Name)
	if err != nil {
		return fmt.Errorf("host %s: %w", h.Name, err)
	}
	if err := os.RemoveAll("/run/systemd/nspawn/propagate/" + h.Name); err != nil {
		return err
	}
	args := []string{
		"--quiet", "--register=no", "--keep-unit", "--boot", "--directory=" + h.Root(), "--machine=" + h.Name, "--hostname=" + h.Name,
		"--network-namespace-path=/run/netns/" + h.Name, "--capability=all", "--system-call-filter=add_key keyctl bpf",
		"--bind=/dev/kmsg", "--console=pipe", "--resolv-conf=off",
	}
	for _, dir := range plain {
		args = append(args, "--bind="+h.disk.plain(dir)+":"+dir)
	}
	script := "set -e\n" + enter + `exec systemd-nspawn "$@"`
	h.console.Reset()
	h.launcher = exec.Command("sh", append([]string{"-c", script, "sh"}, args...)...)
	h.launcher.Env = append(os.Environ(), "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=0", "SYSTEMD_NSPAWN_API_VFS_WRITABLE=yes")
	h.launcher.Stdout, h.launcher.Stderr = &h.console, &h.console
	if err := h.launcher.Start(); err != nil {
		return fmt.Errorf("host %s: %w", h.Name, err)
	}
	h.exited = make(chan error, 1)
	go func(cmd *exec.Cmd, exited chan<- error) { exited <- cmd.Wait() }(h.launcher, h.exited)
	return h.booted(ctx)
}

// booted waits for systemd, and lets the host write to its own cgroups.
func (h *Host) booted(ctx context.Context) error {
	const started = `timeout 20 systemctl is-system-running --wait; [ $? != 124 ] || echo waits`
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		out, _ := h.Run(ctx, "sh", "-c", started)
		if slices.Contains([]string{"running", "degraded", "waits"}, strings.TrimSpace(out)) {
			break
		}
		select {
		case err := <-h.exited:
			h.launcher = nil
			return fmt.Errorf("host %s went off while it booted: %w\n%s", h.Name, err, h.console.String())
		case <-ctx.Done():
			return fmt.Errorf("host %s did not boot: %w\n%s", h.Name, ctx.Err(), out)
		case <-tick.C:
		}
	}
	const remount = `for dir in /sys/fs/cgroup/*; do mountpoint -q "$dir" && mount -o remount,bind,rw "$dir"; done; true`
	if out, err := h.Run(ctx, "sh", "-c", remount); err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	return nil
}

// On tells whether the host is turned on.
func (h *Host) On() bool { return h.launcher != nil }

// init finds the host's process 1 as the test sees it: the launcher's only child.
func (h *Host) init() (int, error) {
	if h.launcher == nil {
		return 0, fmt.Errorf("host %s is off", h.Name)
	}
	pid := h.launcher.Process.Pid
	children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	if err != nil {
		return 0, fmt.Errorf("host %s is off: %w", h.Name, err)
	}
	first, _, _ := strings.Cut(strings.TrimSpace(string(children)), " ")
	if first == "" {
		return 0, fmt.Errorf("host %s has not started yet", h.Name)
	}
	return strconv.Atoi(first)
}

// Command prepares a command that runs on the host, as its root.
func (h *Host) Command(ctx context.Context, args ...string) (*exec.Cmd, error) {
	pid, err := h.init()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, "nsenter", append([]string{"--target", strconv.Itoa(pid), "--all", "--root=/proc/" + strconv.Itoa(pid) + "/root", "--wd=/proc/" + strconv.Itoa(pid) + "/root",
		"env", "-i", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LANG=C.UTF-8", "SYSTEMD_PAGER="}, args...)...)
	return cmd, nil
}

// Run runs a command on the host and returns what it printed, both streams.
func (h *Host) Run(ctx context.Context, args ...string) (string, error) {
	cmd, err := h.Command(ctx, args...)
	if err != nil {
		return "", err
	}
	out, err := cmd.CombinedOutput()
	if err != nil {
		err = fmt.Errorf("host %s: %s: %w", h.Name, strings.Join(args, " "), err)
	}
	return string(out), err
}

// PowerOff pulls the power: nothing on the host gets to do anything any more.
// What it wrote and did not sync is lost.
func (h *Host) PowerOff() error {
	pid, err := h.init()
	if err != nil {
		return err
	}
	if err := unix.Kill(pid, unix.SIGKILL); err != nil {
		return fmt.Errorf("host %s: pull the power: %w", h.Name, err)
	}
	<-h.exited //nolint:errcheck // it was killed, so it ends with an error
	h.launcher = nil
	if err := h.disk.losePower(); err != nil {
		return fmt.Errorf("host %s: its disk: %w", h.Name, err)
	}
	return errors.Join(removeCgroups(filepath.Join(filepath.Base(h.lan.dir), h.Name)), h.lan.forget(h.Name)) // a machine that is off has neither
}

// Eventually runs a command on the host until it succeeds, and returns what it printed last.
// What takes long is asked less often, for hosts share few processors.
func (h *Host) Eventually(ctx context.Context, args ...string) (string, error) {
	for {
		began := time.Now()
		out, err := h.Run(ctx, args...)
		if err == nil {
			return out, nil
		}
		select {
		case <-ctx.Done():
			return out, err
		case <-time.After(max(100*time.Millisecond, time.Since(began))):
		}
	}
}
