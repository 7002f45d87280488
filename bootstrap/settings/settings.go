// Package settings keeps what a Distribution declares of the machine itself:
// parameters and modules of the kernel, proxy, time servers. What stops being
// declared is taken back to what it was before; the rest is left alone.
package settings

import (
	"context"
	"log/slog"
	"path/filepath"
	"time"

	"github.com/holdfast-fleet/holdfast/bootstrap/system"
	"github.com/holdfast-fleet/holdfast/fleet"
)

// Wanted is what a machine should be like.
type Wanted struct {
	fleet.Machine
	Direct []string // names and networks that are reached without a proxy: those of cluster and host
	Units  []string // that use the proxy, without .service
}

// patience is for units that start anew.
const patience = 10 * time.Minute

// Keep makes the machine be as wanted, where it is not, and takes back what was
// kept and is not wanted any more. Its notes are in dir, on disk before anything is changed.
func Keep(ctx context.Context, dir string, want Wanted, log *slog.Logger) error {
	return newKeeper(dir, log).keep(ctx, want)
}

// TakeBack makes the machine what it was before Keep.
func TakeBack(ctx context.Context, dir string, log *slog.Logger) error {
	return newKeeper(dir, log).keep(ctx, Wanted{})
}

// keeper keeps one machine: this one, but in tests.
type keeper struct {
	dir  string
	root string // of its files
	log  *slog.Logger
	run  func(ctx context.Context, what string, args ...string) error // as root with all of root's powers
	ask  func(ctx context.Context, args ...string) error              // systemctl
}

func newKeeper(dir string, log *slog.Logger) *keeper {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &keeper{dir: dir, root: "/", log: log, ask: system.Systemctl, run: func(ctx context.Context, what string, args ...string) error {
		_, err := system.Run(ctx, "holdfast-"+what, []string{"PATH=" + system.Path}, args...)
		return err
	}}
}

// at is the place of a file of the machine.
func (k *keeper) at(path string) string { return filepath.Join(k.root, path) }

func (k *keeper) keep(ctx context.Context, want Wanted) error {
	rec, err := k.readRecord()
	if err != nil || rec.empty() && !want.Declares() {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	files, err := k.files(ctx, &rec, want)
	if err != nil {
		return err
	}
	// Parameters may be those of a module, which is there before them and goes after them.
	for _, step := range []func() error{
		func() error { return k.load(ctx, &rec, want.Modules) },
		func() error { return k.set(ctx, &rec, want.Sysctls) },
		func() error { return k.unload(ctx, &rec, want.Modules) },
		func() error { return k.write(ctx, &rec, files) },
	} {
		if err := step(); err != nil {
			return err
		}
	}
	return k.tidy(rec)
}

// Why something of the machine is changed, for the log.
const takenBack = "setting of the host taken back"

func why(drifted bool) string {
	if drifted {
		return "drift of the host repaired"
	}
	return "setting of the host changed"
}
