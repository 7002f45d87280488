package bootstrap

import (
	"context"
	"errors"
	"path/filepath"

	"github.com/holdfast-fleet/holdfast/bootstrap/k0s"
	"github.com/holdfast-fleet/holdfast/bootstrap/k3s"
	"github.com/holdfast-fleet/holdfast/bootstrap/kubeadm"
	"github.com/holdfast-fleet/holdfast/bootstrap/site"
	"github.com/holdfast-fleet/holdfast/bootstrap/solo"
	"github.com/holdfast-fleet/holdfast/fleet"
	"github.com/holdfast-fleet/holdfast/peers"
)

// Local answers the other hosts of the site for the distribution that runs in the
// agent's data folder. ordered tells whether its cluster is to be made of a backup.
func Local(dataDir string, ordered func() (bool, error)) peers.Local {
	return &local{
		ordered: ordered,
		kubeadm: &kubeadm.Local{Dir: filepath.Join(dataDir, fleet.Kubeadm)},
		others:  []peers.Local{soloLocal(k3s.K3s, dataDir, fleet.K3s), soloLocal(k3s.RKE2, dataDir, fleet.RKE2), soloLocal(k0s.Program{}, dataDir, fleet.K0s)},
	}
}

func soloLocal(program soloProgram, dataDir, name string) *solo.Local {
	dir := filepath.Join(dataDir, name)
	return &solo.Local{Kind: program.Kind(dir), Dir: dir}
}

// local hands questions to the distribution that knows of a cluster.
type local struct {
	ordered func() (bool, error)
	kubeadm peers.Local
	others  []peers.Local
}

func (l *local) which(ctx context.Context) peers.Local {
	for _, o := range l.others {
		if known, err := o.Cluster(ctx); err != nil || known.Known {
			return o
		}
	}
	return l.kubeadm
}

// Cluster tells what this host knows of the cluster. One that is to be made of a backup
// knows of that from when it is ordered, and nobody joins before it is done: until then it
// may be made anew.
func (l *local) Cluster(ctx context.Context) (peers.Cluster, error) {
	if ordered, err := l.ordered(); err != nil || ordered {
		return peers.Cluster{Known: true}, err
	}
	return l.which(ctx).Cluster(ctx)
}

func (l *local) Give(ctx context.Context, to peers.Member) (peers.Material, error) {
	if ordered, err := l.ordered(); err != nil || ordered {
		return nil, errors.Join(site.ErrNotReady, err)
	}
	return l.which(ctx).Give(ctx, to)
}

func (l *local) Away(ctx context.Context, who peers.Member, anew bool) error {
	return l.which(ctx).Away(ctx, who, anew)
}

func (l *local) Back(ctx context.Context, who peers.Member) error { return l.which(ctx).Back(ctx, who) }

func (l *local) LetGo(ctx context.Context, who peers.Member, back string) error {
	return l.which(ctx).LetGo(ctx, who, back)
}
