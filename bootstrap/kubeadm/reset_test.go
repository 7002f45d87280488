package kubeadm

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-fleet/holdfast/durable"
)

// TestAResetThatIsCutOffCanBeDoneAgain pulls the power before each change of its end:
// either the record is there and the programs that a reset needs are, too, or there
// is nothing to reset any more.
func TestAResetThatIsCutOffCanBeDoneAgain(t *testing.T) {
	t.Parallel()
	cut := errors.New("no power")
	for at, tt := range []struct {
		name   string
		change durable.Op
		reset  bool // it is begun again
	}{
		{"before the record goes", durable.Remove, true},
		{"before that is on disk, which may bring the record back", durable.SyncAll, true},
		{"before the programs go", durable.Remove, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			n := testNode(t)
			n.Bin = filepath.Join(n.Dir, "bin", "45c6")
			kubeadm := filepath.Join(n.Bin, "kubeadm")
			require.NoError(t, os.MkdirAll(n.Bin, 0o700))
			require.NoError(t, os.WriteFile(kubeadm, nil, 0o700))
			require.NoError(t, n.writeRecord(record{Step: stepReady, Cluster: n.Cluster, Bin: n.Bin}))
			written, err := os.ReadFile(n.recordFile())
			require.NoError(t, err)

			var last durable.Op
			changes := 0
			err = n.erase(durable.Disk{Before: func(c durable.Change) error {
				if changes++; changes <= at {
					return nil
				}
				last = c.Op
				return cut
			}})
			require.ErrorIs(t, err, cut)
			require.Equal(t, tt.change, last)
			require.FileExists(t, kubeadm)
			if tt.change == durable.SyncAll {
				require.NoError(t, os.WriteFile(n.recordFile(), written, 0o600))
			}
			again, _, err := made(n.Dir)
			require.NoError(t, err)
			require.Equal(t, tt.reset, again != nil)

			require.NoError(t, n.erase(durable.Disk{}))
			require.NoDirExists(t, n.Dir)
		})
	}
}
