package k3s

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"

	"github.com/holdfast-fleet/holdfast/bootstrap/solo"
	"github.com/holdfast-fleet/holdfast/bootstrap/system"
	"github.com/holdfast-fleet/holdfast/durable"
	"github.com/holdfast-fleet/holdfast/fleet"
	"github.com/holdfast-fleet/holdfast/peers"
)

// server is the host that makes the cluster.
func (cfg Config) server() peers.Member {
	for _, m := range cfg.Members {
		if m.Role == fleet.ControlPlane {
			return m
		}
	}
	return peers.Member{}
}

// mayBegin refuses that a server which has lost its data makes a second cluster, while
// hosts of the site are part of the first.
func (f Family) mayBegin(ctx context.Context, cfg Config) error {
	state, err := solo.Read(f.kind(), cfg.Dir)
	if err != nil || state.Known || cfg.Worker || cfg.Peers == nil {
		return err
	}
	for _, m := range cfg.Members {
		if m.Name == cfg.Host || m.Network.Address == "" {
			continue
		}
		if known, err := cfg.Peers.Cluster(ctx, m); err == nil && known.Known {
			return system.Refuse(fmt.Sprintf("%s is part of a cluster, or was, and this host, which is the one that makes it, has none", m.Name),
				"restore it, or take the cluster apart: holdfast reset on each host that is left")
		}
	}
	return nil
}

// mayRun says whether a worker may become an agent of its version, or go to it: no
// kubelet is newer than its API server, see https://kubernetes.io/releases/version-skew-policy/.
// One that was never Ready is given what it joins with.
func (cfg Config) mayRun(ctx context.Context, made bool) error {
	server := cfg.server()
	if cfg.Peers == nil || server.Name == "" {
		return system.Refuse("this host is a worker, and its site has no control plane", "register a host of the site as such")
	}
	known, err := cfg.Peers.Cluster(ctx, server)
	switch {
	case err != nil:
		return fmt.Errorf("join through %s: %w", server.Name, err)
	case !known.Gives:
		return system.Refuse(server.Name+" runs no cluster that this host could join just now", "it joins by itself once that is ready; look there: holdfast status")
	case fleet.VersionOf(known.Version).Compare(fleet.VersionOf(cfg.Cluster.Version)) < 0:
		return system.Refuse(fmt.Sprintf("%s runs %s, and this host is to run %s", server.Name, known.Version, cfg.Cluster.Version),
			"it follows by itself once the control plane is upgraded; look there: holdfast status")
	case made:
		return nil
	}
	material, err := cfg.Peers.Join(ctx, server)
	if err != nil {
		return fmt.Errorf("join through %s: %w", server.Name, err)
	}
	if len(material[tokenFile]) == 0 {
		return fmt.Errorf("join through %s: it gave no %s", server.Name, tokenFile)
	}
	return durable.WriteFile(filepath.Join(cfg.Dir, tokenFile), material[tokenFile], 0o600)
}

// joined tells whether the cluster has this host's node, Ready.
func (cfg Config) joined(ctx context.Context) error {
	known, err := cfg.Peers.Cluster(ctx, cfg.server())
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(known.Nodes, func(o peers.Node) bool { return o.Name == cfg.Host && o.Ready }) {
		return errors.New("the cluster does not have node " + cfg.Host + " as Ready")
	}
	return nil
}
