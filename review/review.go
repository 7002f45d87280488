// Package review says what the hosts of a fleet will do differently: it renders
// two states of the fleet with the code that runs on the hosts, and compares.
package review

import (
	"encoding/json"
	"io/fs"
	"os/exec"

	"github.com/holdfast-fleet/holdfast/fleet"
)

// State is one state of a fleet.
type State struct {
	Name string // a commit in hex, or what else people call it
	FS   fs.FS
	Pins fleet.Pins // nil: a pin is a problem
}

// Options say how fleets are looked at. The zero Options will do.
type Options struct {
	Memo   fleet.Memo                     // of loading and rendering, to be faster
	Worker func() *exec.Cmd               // as of [render.Options]
	Check  func(fleet.Distribution) error // whether hosts can run it; nil: they can
	// CheckHosts tells whether so many hosts can be one cluster of it; nil: they can.
	CheckHosts func(d fleet.Distribution, hosts int) error
	// CheckBackup tells whether a cluster of it can be backed up; nil: it can.
	CheckBackup func(d fleet.Distribution) error
	// CheckUpgrade tells whether hosts go from one to another, where commits allow them to go back to versions; nil: they do.
	CheckUpgrade func(was, is fleet.Distribution, allow []string) error
	Allow        fleet.Permits // what the commits from base to head allow
}

// Changes is what hosts do differently between two states of their fleet.
type Changes struct {
	Base  string `json:"base"`
	Head  string `json:"head"`
	Sites int    `json:"sites"` // that change
	Hosts int    `json:"hosts"` // that change
	// Groups hold each change once, with all sites and hosts that it is for.
	Groups    []Group   `json:"groups"`
	Warnings  []Group   `json:"warnings"` // what to see to, whether hosts render it or not
	Notes     []string  `json:"notes"`    // what changes for the fleet as a whole
	Approvals *Approval `json:"approvals,omitempty"`
	Server    *Served   `json:"server,omitempty"` // nil if no API server was asked

	where map[string]place // the sites of the groups
}

// Empty tells that no host does anything differently.
func (c *Changes) Empty() bool { return len(c.Groups)+len(c.Notes) == 0 }

// Approval is what hosts say of head if it is merged as it is.
type Approval struct {
	State  string   `json:"state"` // accepted, refused, or waits for a release
	Reason string   `json:"reason,omitempty"`
	Needs  []string `json:"needs,omitempty"`
}

// Group is one change, and where it happens.
type Group struct {
	Change
	Sites []string `json:"sites"` // sorted
	Hosts []string `json:"hosts"` // site after site, in the order of their nodes: control plane first

	// Causes are the files that differ and explain it, what explains most first.
	Causes []Cause `json:"causes"`
}

// Change is one difference of what a site or a host runs.
type Change struct {
	Kind   Kind    `json:"kind"`
	Object string  `json:"object"`          // "Deployment shop/web", or what else it is about
	Layer  string  `json:"layer,omitempty"` // of the object, at head if it is there
	From   string  `json:"from,omitempty"`  // layer that it leaves
	Fields []Field `json:"fields,omitempty"`
	Danger string  `json:"danger,omitempty"` // why somebody should look twice
	Note   string  `json:"note,omitempty"`   // what follows from it
}

// Kind says what happens.
type Kind string

// The kinds, the gravest first.
const (
	SiteVanished Kind = "site-vanished"
	HostVanished Kind = "host-vanished"
	HostRemoved  Kind = "host-removed"
	Delete       Kind = "delete"
	Recreate     Kind = "recreate"
	Distribution Kind = "distribution"
	Profile      Kind = "profile"
	Move         Kind = "move" // from one layer to another
	Modify       Kind = "change"
	Create       Kind = "create"
	HostChanged  Kind = "host-changed"
	HostAdded    Kind = "host-added"
	SiteAdded    Kind = "site-added"
)

// The kinds of warnings.
const (
	Unreadable Kind = "unreadable-secret" // Object is its file
	NewImage   Kind = "new-repository"    // of images
	Unlocked   Kind = "unlocked-image"    // has no digest in content.lock
)

func (k Kind) warning() bool { return k == Unreadable || k == NewImage || k == Unlocked }

var byGravity = []Kind{SiteVanished, HostVanished, HostRemoved, Delete, Recreate, Distribution, Profile, Move, Modify, Create, HostChanged, HostAdded, SiteAdded, Unreadable, NewImage, Unlocked}

// Field is one difference within an object.
type Field struct {
	Path      string          `json:"path"`          // spec.template.spec.containers[web].image
	Old       json.RawMessage `json:"old,omitempty"` // missing: it was not there
	New       json.RawMessage `json:"new,omitempty"`
	Hidden    bool            `json:"hidden,omitempty"` // of a Secret: old and new are its size
	Immutable bool            `json:"immutable,omitempty"`
}
