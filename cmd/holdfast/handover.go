package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/holdfast-fleet/holdfast/reconciler"
	"github.com/holdfast-fleet/holdfast/selfupdate"
)

// installedEnv names the installed program to one that it handed over to.
const installedEnv = "HOLDFAST_INSTALLED"

// programs are where an agent's program may be.
type programs struct {
	slots     selfupdate.Slots
	self      string
	installed string
}

// handOver replaces the process with the program that the fleet chose, if that is
// another than the installed one. It returns in the program that is to go on; its
// error says why another does not run.
func handOver(dataDir string) (programs, error) {
	self, err := os.Executable()
	if err != nil {
		return programs{}, err
	}
	dir, err := filepath.Abs(filepath.Join(dataDir, "agent"))
	if err != nil {
		return programs{}, err
	}
	if real, err := filepath.EvalSymlinks(dir); err == nil {
		dir = real // as os.Executable has it
	}
	p := programs{slots: selfupdate.Slots{Dir: dir}, self: self, installed: self}
	if installed := os.Getenv(installedEnv); installed != "" && filepath.Dir(self) == dir {
		p.installed = installed
		return p, nil
	}
	if _, err := os.Stat(dir); err != nil {
		return p, nil // it was never switched
	}
	unlock, busy := reconciler.Lock(dataDir)
	if busy != nil {
		return p, nil // another agent runs there, which is said when this one gets to it
	}
	defer unlock() // as does the other program, when it takes over
	for range 2 {  // a trial, and what was there before it
		chosen, startErr := p.slots.Start(time.Now())
		err = errors.Join(err, startErr)
		if chosen == "" {
			break
		}
		failed := fmt.Errorf("start %s: %w", chosen, syscall.Exec(chosen, os.Args, append(os.Environ(), installedEnv+"="+self)))
		err = errors.Join(err, failed, p.slots.Refuse(failed, time.Now()))
	}
	return p, err
}

// startAnew replaces the process with the installed program, which hands over to
// the one to go on with.
func (p programs) startAnew() error {
	env := slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, installedEnv+"=") })
	return fmt.Errorf("start the agent anew as %s: %w", p.installed, syscall.Exec(p.installed, os.Args, env))
}
