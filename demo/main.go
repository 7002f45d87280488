// Command demo shows a fleet live, on a real cluster: it plays headquarters, a
// Git server, a USB stick and an intruder around one host, and checks each
// step. Everything runs in namespaces of its own, so nothing of it is left.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/holdfast-fleet/holdfast/bootstrap"
)

func main() {
	if len(os.Args) == 4 && os.Args[1] == "in-namespace" {
		os.Exit(runInit(os.Args[2], os.Args[3]))
	}
	if len(os.Args) == 4 && os.Args[1] == "story" {
		os.Exit(tell(os.Args[2], os.Args[3] == "keep"))
	}
	keep := flag.Bool("keep", false, "leave everything running at the end, until interrupted")
	flag.Parse()
	code, err := stage(*keep)
	if err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		code = 1
	}
	os.Exit(code)
}

// tell plays the story in dir and returns the exit code.
func tell(dir string, keep bool) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	s, err := newStory(dir)
	if err == nil {
		defer s.close()
		err = s.play(ctx)
	}
	switch {
	case ctx.Err() != nil:
		fmt.Println("\ninterrupted; removing everything")
		return 130
	case err != nil:
		fmt.Fprintf(os.Stderr, "\ndemo: %v\n", err)
		s.explain(os.Stderr)
		return 1
	}
	s.summary(os.Stdout)
	if !keep {
		fmt.Println("To look around yourself: make demo KEEP=1")
		return 0
	}
	s.lookAround(os.Stdout)
	<-ctx.Done()
	return 0
}

// stage makes the namespaces, plays the story in them, and removes everything.
func stage(keep bool) (code int, err error) {
	if os.Geteuid() != 0 {
		return 0, errors.New("pods need root: run this again as root, or with sudo")
	}
	self, err := os.Executable()
	if err != nil {
		return 0, err
	}
	dir, err := os.MkdirTemp("/tmp", "hf-")
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, clean(dir)) }()
	made, err := mountPoints()
	defer func() { err = errors.Join(err, removeAll(made)) }()
	if err != nil {
		return 0, err
	}
	mode := "end"
	if keep {
		mode = "keep"
	}
	// An interrupt reaches the story itself, which ends; then we clean up.
	signal.Notify(make(chan os.Signal, 1), os.Interrupt)
	terminated := make(chan os.Signal, 1)
	signal.Notify(terminated, syscall.SIGTERM, syscall.SIGHUP)
	child, err := os.StartProcess(self, []string{self, "in-namespace", dir, mode}, &os.ProcAttr{
		Files: []*os.File{os.Stdin, os.Stdout, os.Stderr},
		Env:   os.Environ(),
		Sys: &syscall.SysProcAttr{
			Cloneflags: syscall.CLONE_NEWPID | syscall.CLONE_NEWNS | syscall.CLONE_NEWNET | syscall.CLONE_NEWIPC | syscall.CLONE_NEWUTS,
			Pdeathsig:  syscall.SIGKILL,
		},
	})
	if err != nil {
		return 0, fmt.Errorf("make namespaces: %w", err)
	}
	go func() {
		<-terminated
		_ = child.Kill()
	}()
	state, err := child.Wait()
	if err != nil {
		return 0, err
	}
	if status, ok := state.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return 128 + int(status.Signal()), nil
	}
	return state.ExitCode(), nil
}

// clean removes what outlives the namespaces: the pods' cgroups, and files.
func clean(dir string) error {
	driver, err := bootstrap.For("embedded")
	if err != nil {
		return err
	}
	return errors.Join(driver.Reset(context.Background(), filepath.Join(dir, "host", "embedded")), os.RemoveAll(dir))
}

// mountPoints makes the folders of machineDirs that are missing, and lists them.
func mountPoints() (made []string, err error) {
	for _, dir := range machineDirs {
		err := os.Mkdir(dir, 0o755)
		switch {
		case err == nil:
			made = append(made, dir)
		case !errors.Is(err, os.ErrExist):
			return made, err
		}
	}
	return made, nil
}

func removeAll(dirs []string) error {
	var errs []error
	for _, dir := range dirs {
		errs = append(errs, os.Remove(dir))
	}
	return errors.Join(errs...)
}
