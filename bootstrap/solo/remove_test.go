package solo

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestWhenARemovedWorkerMayLeave(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, answer string
		node         bool // it has a kubelet's credentials
		want         string
	}{
		{"the cluster has its node", "echo node/store-042-b", true, "waits for its cluster to let it go"},
		{"the cluster has let it go", "true", true, ""},
		{"the cluster does not answer", "echo connection refused >&2; exit 1", true, "ask whether the cluster has let this host go"},
		{"it never joined, or was cut off while it was taken apart", "exit 1", false, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			kind := Kind{
				Kubelet: filepath.Join(t.TempDir(), "kubelet.kubeconfig"),
				Kubectl: func(string, string, ...string) []string { return []string{"sh", "-c", tt.answer} },
			}
			if tt.node {
				require.NoError(t, os.WriteFile(kind.Kubelet, nil, 0o600))
			}
			err := mayLeave(t.Context(), kind, "k3s", "store-042-b")
			if tt.want == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, tt.want)
		})
	}
}
