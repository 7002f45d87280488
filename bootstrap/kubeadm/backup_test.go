package kubeadm

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-fleet/holdfast/bootstrap/site"
	"github.com/holdfast-fleet/holdfast/durable"
	"github.com/holdfast-fleet/holdfast/fleet"
	"github.com/holdfast-fleet/holdfast/peers"
)

// knows is a site whose other hosts are part of a cluster.
type knows struct{ site.Peers }

func (knows) Cluster(context.Context, peers.Member) (peers.Cluster, error) {
	return peers.Cluster{Known: true}, nil
}

// TestNoSecondClusterOfABackup: nothing changes while another host runs the first.
func TestNoSecondClusterOfABackup(t *testing.T) {
	t.Parallel()
	n := testNode(t)
	n.From, n.Peers = t.TempDir(), knows{}
	n.Members = []peers.Member{{Name: n.Host, Role: fleet.ControlPlane}, {Name: "store-042-b", Role: fleet.ControlPlane}}
	require.NoError(t, durable.WriteJSON(filepath.Join(n.From, backupRecord), record{Cluster: n.Cluster}))
	require.ErrorContains(t, n.restoreBackup(t.Context(), &record{}), "store-042-b is part of a cluster of the site")
	require.NoFileExists(t, filepath.Join(n.Dir, "record.json"))
}
