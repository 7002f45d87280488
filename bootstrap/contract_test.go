package bootstrap_test

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-fleet/holdfast/bootstrap"
	"github.com/holdfast-fleet/holdfast/content"
	"github.com/holdfast-fleet/holdfast/fleet"
)

// versions are one of each type of distribution, by its own way to write them.
var versions = map[string]string{fleet.Embedded: "v1.36.3", fleet.Kubeadm: "v1.36.3", fleet.K3s: "v1.36.3+k3s1", fleet.RKE2: "v1.36.3+rke2r1", fleet.K0s: "v1.36.3+k0s.0"}

// TestEachDriverKeepsTheContract holds what Driver says of itself for a machine that
// is no node: whole lives are in e2e/drivers.
func TestEachDriverKeepsTheContract(t *testing.T) {
	t.Parallel()
	require.Len(t, versions, len(fleet.DistributionTypes))
	for _, kind := range fleet.DistributionTypes {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			driver, err := bootstrap.For(kind)
			require.NoError(t, err)
			store, err := content.Open(filepath.Join(t.TempDir(), "content"))
			require.NoError(t, err)
			d := fleet.Distribution{Type: kind, Version: versions[kind], ImageRepository: "example.com", PodCIDR: "10.244.0.0/16", ServiceCIDR: "10.96.0.0/16", APIPort: 6443}
			require.NoError(t, bootstrap.Check(d))
			needs := driver.Needs(d)
			require.NotEmpty(t, needs)
			require.Equal(t, needs, driver.Needs(d), "in the same order")
			dir := filepath.Join(t.TempDir(), "agent", kind)
			req := bootstrap.Request{Dir: dir, Host: "a", Distribution: d, Store: store, Content: map[string]string{}}

			for range 2 {
				require.NoError(t, driver.Stop(t.Context(), dir), "what never ran stops")
				require.NoError(t, driver.Reset(t.Context(), dir), "and what never was is removed")
			}
			err = driver.Backup(t.Context(), dir, t.TempDir())
			if kind == fleet.Embedded {
				require.Equal(t, err, bootstrap.CheckBackup(d), "lint says it, too")
			} else {
				require.NoError(t, bootstrap.CheckBackup(d))
				require.ErrorContains(t, err, "that could be backed up", "but nothing is there")
			}
			for i, ref := range needs {
				_, err = driver.Ensure(t.Context(), req)
				require.ErrorContains(t, err, "no digest is locked for "+ref)
				if i < len(needs)-1 {
					req.Content[ref] = "sha256:0123456789012345678901234567890123456789012345678901234567890123"
				}
			}
			req.Distribution.Version = "v1.99.0" + versions[kind][len("v1.36.3"):]
			_, err = driver.Ensure(t.Context(), req)
			require.ErrorContains(t, err, "does not know Kubernetes v1.99.0")
			var hinted interface{ Hint() string }
			require.ErrorAs(t, err, &hinted)
			require.NoDirExists(t, dir, "nothing was begun")
		})
	}
}
