package reconciler_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-fleet/holdfast/backup"
	"github.com/holdfast-fleet/holdfast/durable"
	"github.com/holdfast-fleet/holdfast/fleet"
	"github.com/holdfast-fleet/holdfast/secrets"
)

// TestAClusterIsMadeOfABackupOnce shows that the driver gets what was ordered until the
// cluster is there, and that backups of that are newer.
func TestAClusterIsMadeOfABackupOnce(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	job := backup.Job{
		Manifest: backup.Manifest{Site: "store", Host: "lost", Revision: strings.Repeat("1f0c9a6d", 5), Type: fleet.Embedded, Version: "v1.36.3"},
		Plan:     fleet.Backup{Every: time.Hour, Keep: 1, Recipients: []string{s.id.PublicKey()}},
		Copy: func(_ context.Context, into string) error {
			return os.WriteFile(filepath.Join(into, "data"), []byte("sold 42"), 0o600)
		},
	}
	lost := backup.Keeper{Dir: backup.Dir(t.TempDir())}
	state, err := lost.Take(t.Context(), job)
	require.NoError(t, err)
	file, err := os.Open(filepath.Join(lost.Dir, state.Last.File))
	require.NoError(t, err)
	defer file.Close()
	opens, err := secrets.HostIdentity(s.id.PrivateKey())
	require.NoError(t, err)
	_, err = backup.Order(durable.Disk{}, s.dir, file, opens)
	require.NoError(t, err)

	first := s.begin(map[string]string{"shop": "|prices"})
	s.start()
	s.until("the cluster is made of the backup", runs(first))
	next := s.commit(s.layers(map[string]string{"shop": "|prices stock"}))
	s.until("the cluster goes on", runs(next))
	s.driver.set(func(d *fakeDriver) { require.Equal(t, []string{"sold 42"}, d.made) })
	ordered, err := backup.IsOrdered(s.dir)
	require.NoError(t, err)
	require.False(t, ordered)
	found := backup.Keeper{Dir: backup.Dir(s.dir)}
	state, err = found.Take(t.Context(), job)
	require.NoError(t, err)
	require.Contains(t, state.Last.File, "store_000002_")
}
