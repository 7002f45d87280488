// Package reconciler drives one host to what the newest verified revision says.
package reconciler

import (
	"context"

	"github.com/holdfast-fleet/holdfast/render"
)

// Object names one object of a cluster.
type Object struct {
	Group     string `json:"group,omitempty"`
	Version   string `json:"version"`
	Kind      string `json:"kind"`
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name"`
}

// Inventory is what was, or was about to be, applied to a site's cluster. It
// is written before an apply, so that nothing applied is ever unknown.
type Inventory struct {
	Site     string              `json:"site"`
	Revision string              `json:"revision"`       // commit of the last confirmed apply
	Layers   map[string][]Object `json:"layers"`         // by layer name
	Kept     []string            `json:"kept,omitempty"` // layers whose objects are never pruned
}

// Cluster is a site's running cluster, as far as the reconciler needs it.
// Every method is idempotent.
type Cluster interface {
	// Inventory returns the inventory kept in the cluster; its Layers is empty if there is none.
	Inventory(ctx context.Context, site string) (Inventory, error)
	// SaveInventory replaces it.
	SaveInventory(ctx context.Context, inv Inventory) error
	// Apply makes the cluster's objects equal the layer's. It returns what
	// differed. Objects that fail do not keep the others from being applied;
	// the error names each.
	Apply(ctx context.Context, site string, layer render.Layer) ([]Change, error)
	// Wait returns when every object of the layer is healthy (kstatus), or an
	// error that says which is not, and why, when ctx ends.
	Wait(ctx context.Context, layer render.Layer) error
	// Delete removes objects that carry the site's owner label; others are left
	// alone. It does not wait for finalizers.
	Delete(ctx context.Context, site string, objects []Object) ([]Change, error)
	// NodeReady returns nil if the node is ready to run pods.
	NodeReady(ctx context.Context, host string) error
	// Watch sends the name of a layer whenever one of its objects may differ
	// from what was applied, until ctx ends. Repair is Apply again.
	Watch(ctx context.Context, site string, layers []render.Layer) (<-chan string, error)
}

// Change is one difference between desired and actual, and what was done about it.
type Change struct {
	Object Object `json:"object"`
	Action Action `json:"action"`
}

// Action is what a change did.
type Action string

// The actions.
const (
	Created Action = "created"
	Updated Action = "updated"
	Deleted Action = "deleted"
)
