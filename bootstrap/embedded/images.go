package embedded

import (
	"context"

	"github.com/holdfast-fleet/holdfast/bootstrap/containerd"
)

func (n *node) runtime() containerd.Runtime {
	return containerd.Runtime{
		Client: n.Bin + "/ctr", Socket: n.containerdSocket(), Record: n.path("data", "containerd", "holdfast-imports.json"),
	}
}

// imported tells whether every image was imported into this containerd.
func (n *node) imported() bool { return n.ControlPlane || n.runtime().Has(n.Images) }

// importImages waits for containerd and gives it the images that it lacks.
func (n *node) importImages(ctx context.Context) error {
	if err := n.await(ctx, n.runtime().Answers); err != nil {
		return err
	}
	count, err := n.runtime().Import(ctx, n.Archive, n.Images)
	if err == nil {
		n.log.Info("images imported", "count", count)
	}
	return err
}
