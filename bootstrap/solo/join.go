package solo

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"

	"github.com/holdfast-fleet/holdfast/bootstrap/system"
	"github.com/holdfast-fleet/holdfast/durable"
	"github.com/holdfast-fleet/holdfast/fleet"
	"github.com/holdfast-fleet/holdfast/peers"
)

// Site is what a node knows of the other hosts of its site.
type Site struct {
	Members []peers.Member // active hosts of the site, this one among them
	Removed []string       // hosts that the site had, which the server takes out
	Peers   Peers          // reaches the others
}

// Peers asks other hosts of the site.
type Peers interface {
	Cluster(ctx context.Context, of peers.Member) (peers.Cluster, error)
	Join(ctx context.Context, through peers.Member) (peers.Material, error)
}

// TokenFile is the name of the file in a worker's own folder that has what it joins with.
const TokenFile = "token"

// Server is the host that makes the cluster.
func (s Site) Server() peers.Member {
	for _, m := range s.Members {
		if m.Role == fleet.ControlPlane {
			return m
		}
	}
	return peers.Member{}
}

// mayBegin refuses that a server which has lost its data makes a second cluster, while
// hosts of the site are part of the first, and a backup for more than one host.
func (n *node) mayBegin(ctx context.Context, rec record) error {
	if n.From != "" && len(n.Members) > 1 {
		return system.Refuse("a site of several hosts of type "+n.Name+" is not made of a backup",
			"take the others out with state: removed, restore, and register them anew")
	}
	if rec.Step != "" || n.Worker || n.Peers == nil {
		return nil
	}
	for _, m := range n.Members {
		if m.Name == n.Host || m.Network.Address == "" {
			continue
		}
		if known, err := n.Peers.Cluster(ctx, m); err == nil && known.Known {
			return system.Refuse(fmt.Sprintf("%s is part of a cluster, or was, and this host, which is the one that makes it, has none", m.Name),
				"to restore it, take the others out with state: removed first; to begin anew, run holdfast reset on each of them")
		}
	}
	return nil
}

// mayRun says whether a worker may become a node of its version, or go to it: no
// kubelet is newer than its API server, see https://kubernetes.io/releases/version-skew-policy/.
// One that was never Ready is given what it joins with, which may hold for a while only.
func (n *node) mayRun(ctx context.Context, made bool) error {
	server := n.Server()
	if n.Peers == nil || server.Name == "" {
		return system.Refuse("this host is a worker, and its site has no control plane", "register a host of the site as such")
	}
	known, err := n.Peers.Cluster(ctx, server)
	switch {
	case err != nil:
		return fmt.Errorf("join through %s: %w", server.Name, err)
	case !known.Gives:
		return system.Refuse(server.Name+" runs no cluster that this host could join just now", "it joins by itself once that is ready; look there: holdfast status")
	case fleet.VersionOf(known.Version).Compare(fleet.VersionOf(n.Cluster.Version)) < 0:
		return system.Refuse(fmt.Sprintf("%s runs %s, and this host is to run %s", server.Name, known.Version, n.Cluster.Version),
			"it follows by itself once the control plane is upgraded; look there: holdfast status")
	case made:
		return nil
	}
	material, err := n.Peers.Join(ctx, server)
	if err != nil {
		return fmt.Errorf("join through %s: %w", server.Name, err)
	}
	if len(material[TokenFile]) == 0 {
		return fmt.Errorf("join through %s: it gave no %s", server.Name, TokenFile)
	}
	n.given = true
	return durable.WriteFile(filepath.Join(n.Dir, TokenFile), material[TokenFile], 0o600)
}

// joined tells whether the cluster has this host's node, Ready.
func (n *node) joined(ctx context.Context) error {
	known, err := n.Peers.Cluster(ctx, n.Server())
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(known.Nodes, func(o peers.Node) bool { return o.Name == n.Host && o.Ready }) {
		return errors.New("the cluster does not have node " + n.Host + " as Ready")
	}
	return nil
}
