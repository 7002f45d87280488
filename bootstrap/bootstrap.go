// Package bootstrap makes a host run the Kubernetes distribution that its profile names.
package bootstrap

import (
	"context"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"os"
	"strings"

	"github.com/holdfast-fleet/holdfast/bootstrap/k0s"
	"github.com/holdfast-fleet/holdfast/bootstrap/k3s"
	"github.com/holdfast-fleet/holdfast/bootstrap/system"
	"github.com/holdfast-fleet/holdfast/content"
	"github.com/holdfast-fleet/holdfast/fleet"
	"github.com/holdfast-fleet/holdfast/peers"
)

// Request is what a host should run, with the bytes for it.
type Request struct {
	Dir          string         // of the distribution on this host: absolute, short, its own
	Host         string         // name of the node
	Members      []peers.Member // active hosts of the site, this one among them
	Removed      []string       // hosts that it had, which these take out of its cluster
	Peers        Peers          // reaches the others
	Distribution fleet.Distribution
	Content      map[string]string // reference → digest of what Needs lists
	Images       map[string]string // reference → digest of the layers' images, imported before pods need them
	Downgrades   []string          // versions that commits allow to go back to
	Anew         bool              // what was undone is tried once more at once: somebody ordered it
	From         string            // folder that Backup wrote, which the cluster is to be made of; mostly empty
	Store        *content.Store
	Log          *slog.Logger // nil discards
}

// Peers asks other hosts of the site; package peers implements it.
type Peers interface {
	Cluster(ctx context.Context, of peers.Member) (peers.Cluster, error)
	Join(ctx context.Context, through peers.Member) (peers.Material, error)
	Away(ctx context.Context, through peers.Member, anew bool) error
	Back(ctx context.Context, through peers.Member) error
	Leave(ctx context.Context, through peers.Member, back string) error
}

// self is the member that the request is for.
func (r Request) self() peers.Member {
	for _, m := range r.Members {
		if m.Name == r.Host {
			return m
		}
	}
	return peers.Member{Name: r.Host, Role: fleet.ControlPlane}
}

// Access is how to reach the cluster.
type Access struct {
	Kubeconfig string // path of the agent's, mode 0600
	Digest     string // of what is in it, in hex: with another one, connect anew
}

func accessBy(kubeconfig string) (Access, error) {
	data, err := os.ReadFile(kubeconfig)
	if err != nil {
		return Access{}, err
	}
	return Access{kubeconfig, fmt.Sprintf("%x", sha256.Sum256(data))}, nil
}

// Driver runs one kind of distribution.
type Driver interface {
	// Minors lists the minor versions of Kubernetes that it knows, like v1.36.
	Minors() []string
	// Needs lists the references of the content that Ensure wants.
	Needs(d fleet.Distribution) []string
	// Shares tells whether several hosts can be nodes of one cluster.
	Shares() bool
	// Ensure makes the host run what req says and returns when the API is
	// ready and, where there is one, the node. It is cheap when nothing
	// changed; otherwise what changed restarts. Content is verified before
	// anything on the host changes.
	Ensure(ctx context.Context, req Request) (Access, error)
	// Backup writes what the cluster that runs in dir is made of again into an empty folder.
	Backup(ctx context.Context, dir, into string) error
	// Stop ends everything that runs in dir, pods included, and keeps the data.
	Stop(ctx context.Context, dir string) error
	// Reset stops what runs in dir and removes all that it made on the host, data included.
	Reset(ctx context.Context, dir string) error
}

// For returns the driver of a kind of distribution, as in a Distribution's type.
func For(kind string) (Driver, error) {
	switch kind {
	case fleet.Embedded:
		return embeddedDriver{}, nil
	case fleet.Kubeadm:
		return kubeadmDriver{}, nil
	case fleet.K3s:
		return soloDriver{k3s.K3s}, nil
	case fleet.RKE2:
		return soloDriver{k3s.RKE2}, nil
	case fleet.K0s:
		return soloDriver{k0s.Program{}}, nil
	default:
		return nil, fmt.Errorf("no driver runs distributions of type %q; there are %s", kind, strings.Join(fleet.DistributionTypes, ", "))
	}
}

// CheckBackup tells whether clusters of a distribution are backed up. The error has a hint.
func CheckBackup(d fleet.Distribution) error {
	if d.Type == fleet.Embedded {
		return errNoBackups
	}
	return nil
}

// errNoBackups is that of the one driver that takes none.
var errNoBackups = system.Refuse("clusters of type "+fleet.Embedded+" are not backed up", "write backup: {} for such sites: what is in them comes from the fleet")
