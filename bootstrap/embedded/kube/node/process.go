package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"time"
)

const (
	firstPause  = 500 * time.Millisecond // before a crashed process starts again
	longestWait = 10 * time.Second
	stableAfter = 30 * time.Second // a process that ran this long did not crash at start
)

// running is a process that is kept running until it is stopped.
type running struct {
	process
	cancel context.CancelFunc
	done   chan struct{}
}

// start runs p below dir, its output in log/NAME.log and its identity in run/NAME.pid.
func start(dir string, p process, log *slog.Logger) (*running, error) {
	out, err := openLog(filepath.Join(dir, "log", p.Name+".log"))
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	r := &running{process: p, cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(r.done)
		defer out.Close()
		// The kernel ties a child to the thread that made it, so this thread must last.
		runtime.LockOSThread()
		r.keep(ctx, filepath.Join(dir, "run", p.Name+".pid"), out.pipe, log.With("process", p.Name))
	}()
	return r, nil
}

func (r *running) stop() {
	r.cancel()
	<-r.done
}

// keep runs the process until ctx ends, pausing longer after each crash.
func (r *running) keep(ctx context.Context, pidFile string, out *os.File, log *slog.Logger) {
	for pause := firstPause; ; pause = min(2*pause, longestWait) {
		began := time.Now()
		err := r.once(ctx, pidFile, out)
		os.Remove(pidFile)
		if ctx.Err() != nil {
			return
		}
		if time.Since(began) > stableAfter {
			pause = firstPause
		}
		log.Warn("process ended, starting it again", "after", pause, "error", err)
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
	}
}

func (r *running) once(ctx context.Context, pidFile string, out *os.File) error {
	cmd := exec.CommandContext(ctx, r.Args[0], r.Args[1:]...)
	cmd.Env = append(os.Environ(), r.Env...)
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = time.Duration(r.StopSeconds) * time.Second
	if err := cmd.Start(); err != nil {
		return err
	}
	if err := os.WriteFile(pidFile, fmt.Appendln(nil, cmd.Process.Pid), 0o600); err != nil {
		_ = cmd.Process.Kill()
	}
	return cmd.Wait()
}
