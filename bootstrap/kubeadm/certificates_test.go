package kubeadm

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestHostsRenewAtDifferentTimesAndLongBeforeTheEnd(t *testing.T) {
	t.Parallel()
	times := map[time.Duration]bool{}
	for _, host := range []string{"store-042-a", "store-042-b", "store-042-c"} {
		n := testNode(t)
		n.Host = host
		before := n.renewBefore()
		require.GreaterOrEqual(t, before, 60*24*time.Hour)
		require.Less(t, before, 70*24*time.Hour)
		times[before] = true
	}
	require.Greater(t, len(times), 1)
}

// TestWhatARenewalChangesIsCopied leaves manifests alone: a kubelet watches them.
func TestWhatARenewalChangesIsCopied(t *testing.T) {
	t.Parallel()
	from, to := t.TempDir(), filepath.Join(t.TempDir(), "before")
	for file, text := range map[string]string{
		"admin.conf": "admin", "pki/apiserver.key": "key", "pki/etcd/peer.crt": "peer", "manifests/etcd.yaml": "pod",
	} {
		require.NoError(t, os.MkdirAll(filepath.Dir(filepath.Join(from, file)), 0o755))
		require.NoError(t, os.WriteFile(filepath.Join(from, file), []byte(text), 0o600))
	}
	require.NoError(t, copyCertificates(from, to))
	require.NoDirExists(t, filepath.Join(to, "manifests"))

	require.NoError(t, os.WriteFile(filepath.Join(from, "pki/apiserver.key"), []byte("half a"), 0o600))
	require.NoError(t, copyCertificates(to, from))
	for file, want := range map[string]string{"admin.conf": "admin", "pki/apiserver.key": "key", "pki/etcd/peer.crt": "peer"} {
		got, err := os.ReadFile(filepath.Join(from, file))
		require.NoError(t, err)
		require.Equal(t, want, string(got))
		info, err := os.Stat(filepath.Join(from, file))
		require.NoError(t, err)
		require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	}
}
