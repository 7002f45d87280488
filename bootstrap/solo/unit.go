package solo

import (
	"context"
	"os"
	"path/filepath"
	"strings"

	"github.com/holdfast-fleet/holdfast/bootstrap/system"
	"github.com/holdfast-fleet/holdfast/durable"
)

// unit is the name of the one that runs here, without .service.
func (n *node) unit() string { return n.UnitOf(n.Worker) }

// unitFile is the path of the unit.
func (n *node) unitFile() string { return filepath.Join(system.UnitDir, n.unit()+".service") }

// installedFile has the command that made the unit.
func (n *node) installedFile() string { return filepath.Join(n.Dir, "installed") }

// installed tells whether the unit is as the program's own installation makes it.
func (n *node) installed() bool {
	if len(n.install) == 0 {
		return true
	}
	have, err := os.ReadFile(n.installedFile())
	return err == nil && string(have) == strings.Join(n.install, "\n") && system.Exists(n.unitFile())
}

// makeUnit has the program install its unit, where that is not one of the files.
func (n *node) makeUnit(ctx context.Context) error {
	if n.installed() {
		return nil
	}
	if _, err := n.call(ctx, "install", n.install); err != nil {
		return err
	}
	if err := system.Sync(system.UnitDir); err != nil {
		return err
	}
	return durable.WriteFile(n.installedFile(), []byte(strings.Join(n.install, "\n")), 0o600)
}
