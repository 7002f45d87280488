package main

import (
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
)

// runInit is process 1 of the namespaces: it sets them up, starts the story,
// and reaps whatever the story's processes leave behind. When it ends, the
// kernel ends everything in the namespaces.
func runInit(dir, mode string) int {
	signal.Notify(make(chan os.Signal, 1), os.Interrupt) // the story's business
	if err := setUp(); err != nil {
		fmt.Fprintln(os.Stderr, "demo: set up namespaces:", err)
		return 1
	}
	self, err := os.Executable()
	if err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		return 1
	}
	story, err := syscall.ForkExec(self, []string{self, "story", dir, mode}, &syscall.ProcAttr{
		Files: []uintptr{0, 1, 2},
		Env:   os.Environ(),
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		return 1
	}
	for {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, 0, nil)
		switch {
		case err == syscall.EINTR:
		case err != nil:
			return 1
		case pid == story && status.Exited():
			return status.ExitStatus()
		case pid == story:
			return 128 + int(status.Signal())
		}
	}
}

// machineDirs are where Kubernetes leaves things whatever its configuration says.
var machineDirs = []string{"/var/lib/kubelet", "/var/lib/cni", "/var/log/pods", "/var/log/containers"}

// setUp makes mounts private to the namespaces and the loopback usable.
func setUp() error {
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	// Volumes of pods must reach the pods that are already running.
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_SHARED, ""); err != nil {
		return fmt.Errorf("make mounts shared within: %w", err)
	}
	if err := syscall.Mount("proc", "/proc", "proc", 0, ""); err != nil {
		return fmt.Errorf("mount /proc: %w", err)
	}
	for _, dir := range machineDirs {
		if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, ""); err != nil {
			return fmt.Errorf("mount a folder of our own over %s: %w", dir, err)
		}
	}
	if out, err := exec.Command("ip", "link", "set", "lo", "up").CombinedOutput(); err != nil {
		return fmt.Errorf("bring loopback up: %w: %s", err, out)
	}
	return syscall.Sethostname([]byte(hostName))
}
