// Package reconciler drives one host to what the newest verified revision says.
package reconciler

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/holdfast-fleet/holdfast/render"
)

// What a [Cluster] may answer, besides that something is wrong with an object.
var (
	// ErrUnreachable reports that the API server did not answer: that says nothing of what it was asked for.
	ErrUnreachable = errors.New("the API server does not answer")
	// ErrNotLeader reports that another host of the site applies, so that this one must not.
	ErrNotLeader = errors.New("this host does not hold the site's Lease")
	// ErrBehind reports that the cluster's inventory was written by another host since it was read.
	ErrBehind = errors.New("the cluster's inventory is newer than the one that was read")
	// ErrGuarded reports that an admission webhook or policy refused a write, or did not answer for it.
	ErrGuarded = errors.New("refused on admission")
	// ErrOtherSite reports a cluster that belongs to another site.
	ErrOtherSite = errors.New("the cluster belongs to another site")
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
	Revision string              `json:"revision"`         // commit of the last confirmed apply
	Newest   string              `json:"newest,omitempty"` // the site's revision: who lacks it never applies
	Layers   map[string][]Object `json:"layers"`           // by layer name
	Kept     []string            `json:"kept,omitempty"`   // layers whose objects are never pruned
	Writer   string              `json:"writer,omitempty"` // host that brought Newest
	Version  string              `json:"-"`                // of the cluster's, as read or written; empty: there is none
}

// Cluster is a site's running cluster, as far as the reconciler needs it.
// Every method is idempotent.
type Cluster interface {
	// Lead competes for the site's Lease until ctx ends, and sends who holds it:
	// at first, and whenever that changes; always the newest, however long the
	// reader took. A host that cannot renew it has lost it before anybody else
	// can take it. Once Lead was called, what changes objects fails with [ErrNotLeader]
	// while the Lease is not held. When ctx ends the Lease is given up, so work
	// should have ended before; then the channel is closed.
	Lead(ctx context.Context, site, host string) (<-chan Leader, error)

	// Inventory returns the inventory kept in the cluster; its Layers is empty if there is none.
	Inventory(ctx context.Context, site string) (Inventory, error)
	// SaveInventory replaces the inventory that inv was read as, and returns inv
	// with its new Version. If the cluster has another by now, that is [ErrBehind].
	// It takes no Lease.
	SaveInventory(ctx context.Context, inv Inventory) (Inventory, error)

	// Apply makes the cluster's objects equal the layer's. It returns what
	// differed. Objects that fail do not keep the others from being applied: the
	// error joins an [*ObjectError] for each, and an [*ImmutableError] for those
	// that would have to be made anew. Nothing is ever deleted.
	Apply(ctx context.Context, site string, layer render.Layer) ([]Change, error)
	// Update is Apply for a layer of which this process applied another version: what
	// the watches show to be in place, as the layer still has it, is not sent again.
	Update(ctx context.Context, site string, layer render.Layer) ([]Change, error)
	// Repair is Apply for those objects of the layer alone that are named.
	Repair(ctx context.Context, site string, layer render.Layer, objects []Object) ([]Change, error)
	// Recreate makes objects of the layer anew that cannot be changed: it deletes
	// those named that carry the site's label, and applies them once they are gone.
	Recreate(ctx context.Context, site string, layer render.Layer, objects []Object) ([]Change, error)
	// Wait returns when every object of the layer is healthy and all its probes
	// succeed, or an [*UnhealthyError] when ctx ends or nothing better can come.
	Wait(ctx context.Context, layer render.Layer) error

	// Delete removes objects that carry the site's owner label, and says what
	// became of each that was there: [Deleted], or, with a reason, [Deleting], [Orphaned]
	// or [LeftAlone]. It does not wait for finalizers: Delete again tells how far they are.
	Delete(ctx context.Context, site string, objects []Object) ([]Change, error)
	// Leaving changes nothing. It says what became of those objects that somebody
	// deleted: [Deleted] if they are gone, or [Deleting], with a reason.
	Leaving(ctx context.Context, site string, objects []Object) ([]Change, error)

	// NodesReady returns nil if each node that the cluster knows of is ready to run pods.
	NodesReady(ctx context.Context) error

	// Watch sends what differs from what was applied, or was never applied by
	// this process, until ctx ends. What is not repaired, or changed back by
	// others, is sent again ever more rarely. Another Watch that follows soon
	// takes up what the one before it has seen.
	Watch(ctx context.Context, site string, layers []render.Layer) (<-chan Drift, error)
	// Verify looks at every object anew, by few requests, and returns what differs from what was applied.
	Verify(ctx context.Context, site string, layers []render.Layer) ([]Drift, error)

	// Event notes something on an object for people who look at the cluster. It
	// never blocks; what repeats is counted, and what is too much is dropped.
	Event(e Event)
}

// Leader is the host that holds a site's Lease, as last seen.
type Leader struct {
	Host string // empty: nobody, or it is not known
	Mine bool   // until the next value, this host applies
	Err  error  // why it is not known; nil: nobody tried to find out yet, or it is
}

// Change is one difference between desired and actual, and what was done about it.
type Change struct {
	Object Object `json:"object"`
	Action Action `json:"action"`
	Why    string `json:"why,omitempty"`
}

// Action is what a change did.
type Action string

// The actions.
const (
	Created   Action = "created"
	Updated   Action = "updated"
	Recreated Action = "recreated"
	Deleted   Action = "deleted"
	Deleting  Action = "deleting"   // it is on its way out, and somebody's finalizers hold it
	Orphaned  Action = "orphaned"   // no longer ours, and still there: it opts out by annotation
	LeftAlone Action = "left alone" // not the site's
)

// Drift is what of one layer may differ from what was applied.
type Drift struct {
	Layer   string
	Objects []Drifted
}

// Drifted is one object that differs.
type Drifted struct {
	Object Object
	Gone   bool     // it was deleted
	By     string   // field manager that changed it; empty if it is gone, or nobody knows
	Fields []string // some of those that were changed, such as .spec.replicas
	Fight  string   // set once it was changed back again and again: by whom, and how seldom it is repaired now

	Peace time.Duration // without drift of the object, after which such a fight is over
}

// Names lists the objects.
func (d Drift) Names() []Object {
	names := make([]Object, len(d.Objects))
	for i, o := range d.Objects {
		names[i] = o.Object
	}
	return names
}

// blame says for the log who changed an object, and what of it.
func (d Drift) blame(o Object) (attrs []any) {
	for _, found := range d.Objects {
		if found.Object.id() != o.id() {
			continue
		}
		if found.By != "" {
			attrs = append(attrs, "by", found.By)
		}
		if len(found.Fields) > 0 {
			attrs = append(attrs, "fields", strings.Join(found.Fields, " "))
		}
	}
	return attrs
}

// Event is one thing that happened to an object.
type Event struct {
	Object  Object
	Warning bool
	Reason  string // in CamelCase: ApplyFailed, DriftRepaired, RolledBack
	Message string
}
