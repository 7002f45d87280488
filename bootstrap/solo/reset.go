package solo

import (
	"context"
	"errors"
	"os"

	"github.com/holdfast-fleet/holdfast/bootstrap/system"
)

// Stop ends the program and all pods, and keeps the data.
func Stop(ctx context.Context, kind Kind, dir string) error {
	n, _, err := made(kind, dir)
	if n == nil {
		return err
	}
	return n.stop(ctx)
}

// Reset takes the node apart and removes what Ensure and the program made on the host, data included.
func Reset(ctx context.Context, kind Kind, dir string) error {
	n, _, err := made(kind, dir)
	if n == nil {
		return err
	}
	if err := n.uninstall(ctx); err != nil {
		return err
	}
	return os.RemoveAll(n.Dir)
}

// made returns the node whose record is in dir, or nil where there is none.
func made(kind Kind, dir string) (*node, record, error) {
	n := newNode(Config{Kind: kind, Wanted: Wanted{Dir: dir}})
	rec, err := n.readRecord()
	if err != nil || rec.Step == "" {
		return nil, rec, err
	}
	n.Program, n.Worker = rec.Program, rec.Worker
	return n, rec, nil
}

func (n *node) stop(ctx context.Context) error {
	if system.Exists(n.unitFile()) {
		if err := system.Systemctl(ctx, "stop", n.unit()+".service"); err != nil {
			return err
		}
	}
	_, err := n.call(ctx, "kill", []string{"/bin/sh", "-c", n.killScript()})
	return err
}

// uninstall does what the distribution's own uninstallation does.
func (n *node) uninstall(ctx context.Context) error {
	if err := n.stop(ctx); err != nil {
		return err
	}
	if len(n.Reset) > 0 && system.Exists(n.unitFile()) {
		if _, err := n.call(ctx, "reset", append([]string{n.Program}, n.Reset...)); err != nil {
			return err
		}
	}
	var errs []error
	if system.Exists(n.unitFile()) {
		errs = append(errs, system.Systemctl(ctx, "disable", n.unit()+".service"), os.Remove(n.unitFile()))
	}
	for _, dir := range n.Leaves {
		errs = append(errs, system.Empty(dir))
		_ = os.Remove(dir) // it may be a mount
	}
	if target, err := os.Readlink(n.link()); err == nil && target == n.Program {
		errs = append(errs, os.Remove(n.link()))
	}
	return errors.Join(append(errs, system.Systemctl(ctx, "daemon-reload"))...)
}
