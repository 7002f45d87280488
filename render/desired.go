// Package render turns a loaded fleet into what one host should run: bytes
// with digests. It is pure: no network, no clock, no state of the machine.
package render

import (
	"encoding/json"
	"time"

	"github.com/holdfast-fleet/holdfast/fleet"
)

// Desired is what one host should run at one revision, in two halves: what its
// site makes of the cluster, and what the host makes of the node.
type Desired struct {
	Site    string  `json:"site"`
	Host    string  `json:"host"`
	Cluster Cluster `json:"cluster"`
	Node    Node    `json:"node"`
}

// Cluster is the half that is the same on all hosts of a site.
type Cluster struct {
	Layers []Layer           `json:"layers"` // in an order that honours DependsOn
	Images map[string]string `json:"images"` // reference → digest, of all layers
	Digest string            `json:"digest"` // "sha256:" over all of the above

	// Confirm is how long all must stay healthy before the rendering is confirmed.
	// It changes nothing in the cluster, so it is not in the digest.
	Confirm time.Duration `json:"confirm,omitempty"`
}

// Layer is one layer, rendered.
type Layer struct {
	Name      string            `json:"name"`
	DependsOn []string          `json:"dependsOn,omitempty"`
	Wait      bool              `json:"wait"`
	Prune     bool              `json:"prune"`
	Timeout   time.Duration     `json:"timeout"`
	Rollback  fleet.Rollback    `json:"rollback,omitempty"`
	Retry     int               `json:"retry,omitempty"`
	Objects   []json.RawMessage `json:"objects"`          // canonical JSON (sorted keys), in stable order, with stand-ins for what is encrypted
	Sealed    map[string][]byte `json:"sealed,omitempty"` // SOPS documents that they stand in for, by path
	Ignore    []fleet.Ignore    `json:"ignore,omitempty"`
	Health    []fleet.Health    `json:"health,omitempty"`
	Probes    []fleet.Probe     `json:"probes,omitempty"` // with the site's variables in them
	Digest    string            `json:"digest"`           // "sha256:" over the fields above
}

// Node is the half that belongs to one host.
type Node struct {
	Distribution json.RawMessage   `json:"distribution"`     // the Distribution object, canonical JSON
	Content      map[string]string `json:"content"`          // reference → digest of what the driver needs, from content.lock
	Sealed       map[string][]byte `json:"sealed,omitempty"` // SOPS documents that it has stand-ins for, by path
	Digest       string            `json:"digest"`
}
