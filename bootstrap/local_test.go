package bootstrap_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-fleet/holdfast/backup"
	"github.com/holdfast-fleet/holdfast/bootstrap"
	"github.com/holdfast-fleet/holdfast/bootstrap/site"
	"github.com/holdfast-fleet/holdfast/durable"
	"github.com/holdfast-fleet/holdfast/peers"
)

// TestAHostThatIsToBeRestoredKeepsOthersFromMakingACluster, and from joining one that may
// still be made anew.
func TestAHostThatIsToBeRestoredKeepsOthersFromMakingACluster(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	local := bootstrap.Local(dir, func() (bool, error) { return backup.IsOrdered(dir) })
	known, err := local.Cluster(t.Context())
	require.NoError(t, err)
	require.Equal(t, peers.Cluster{}, known)

	require.NoError(t, os.Mkdir(filepath.Join(dir, "restore"), 0o700))
	order := filepath.Join(dir, "restore", "backup.json")
	require.NoError(t, durable.WriteJSON(order, backup.Manifest{Site: "store-042", Type: "k3s"}))
	known, err = local.Cluster(t.Context())
	require.NoError(t, err)
	require.Equal(t, peers.Cluster{Known: true}, known)
	_, err = local.Give(t.Context(), peers.Member{Name: "store-042-b"})
	require.ErrorIs(t, err, site.ErrNotReady)

	require.NoError(t, os.WriteFile(order, []byte("{"), 0o600))
	_, err = local.Cluster(t.Context())
	require.ErrorContains(t, err, "the backup that is to be restored", "it may know of a cluster, and nobody takes that for none")

	require.NoError(t, backup.Done(durable.Disk{}, dir))
	known, err = local.Cluster(t.Context())
	require.NoError(t, err)
	require.Equal(t, peers.Cluster{}, known)
}
