// Package peers lets the hosts of a site tell each other what they know of its
// cluster, and give what joining it takes, over their own network.
//
// They speak TLS 1.3, each with the key that the fleet registers it by: a host
// answers, and asks, only machines whose keys the verified revision lists as
// active hosts of its own site. Nothing of a stranger is read beyond its key.
package peers

import (
	"context"
	"fmt"

	"github.com/holdfast-fleet/holdfast/fleet"
)

// Port is the TCP port that hosts of sites with several hosts listen on.
const Port = 5270

// Member is an active host of a site.
type Member struct {
	Name     string        `json:"name"`
	Identity string        `json:"identity"` // public key as in authorized_keys
	Role     fleet.Role    `json:"role"`
	Network  fleet.Network `json:"network"`
}

// Members lists those of a site, in declared order.
func Members(site *fleet.Site) []Member {
	var list []Member
	for _, h := range site.Active() {
		list = append(list, Member{h.Name, h.Identity, h.Role, h.Network})
	}
	return list
}

// Removed lists the names of the hosts that are to be taken out of a site's cluster.
func Removed(site *fleet.Site) []string {
	var names []string
	for _, h := range site.Hosts {
		if h.State == fleet.Removed {
			names = append(names, h.Name)
		}
	}
	return names
}

// Cluster is what a host knows of its site's cluster.
type Cluster struct {
	Known   bool   `json:"known"`             // it is part of one, or began to be
	Gives   bool   `json:"gives"`             // it is of the control plane and can let others join
	Version string `json:"version,omitempty"` // of one that gives: of Kubernetes
	Nodes   []Node `json:"nodes,omitempty"`   // of one that gives

	Kept    []string `json:"kept,omitempty"`    // versions of whose cluster it has the data of before an upgrade
	Returns string   `json:"returns,omitempty"` // version that the cluster goes back to with these, once the other servers have left it
}

// Node is a node of the cluster, and where its pods are.
type Node struct {
	Name    string `json:"name"`
	Address string `json:"address"`
	Pods    string `json:"pods"` // network, like 10.244.1.0/24
	Ready   bool   `json:"ready,omitempty"`
}

// Material is what joining takes: files by their names.
type Material map[string][]byte

// Local is what a host answers its peers with.
type Local interface {
	Cluster(ctx context.Context) (Cluster, error)
	// Give returns what the member needs to join in its role.
	Give(ctx context.Context, to Member) (Material, error)
	// Away has the cluster do without the member, a worker, until it is back. Whose pods did
	// not move is left alone for a while, unless it is to be tried anew.
	Away(ctx context.Context, who Member, anew bool) error
	Back(ctx context.Context, who Member) error
	// LetGo takes the member's node out of the cluster, for it to join anew: its role has
	// changed, or it goes back to a version.
	LetGo(ctx context.Context, who Member, back string) error
}

// RefusedError is a peer's answer that it does not give what it was asked for.
type RefusedError struct {
	Peer   string
	Reason string
}

func (e *RefusedError) Error() string { return fmt.Sprintf("%s: %s", e.Peer, e.Reason) }
