package kubeadm

import (
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-fleet/holdfast/bootstrap/kubeapi"
	"github.com/holdfast-fleet/holdfast/bootstrap/kubeapi/kubeapitest"
)

// TestWhatManifestsSayIsShownBeforeAnUpgrade: the kubelet takes a while to do what a
// manifest says that was put back, and kubeadm must not begin before.
func TestWhatManifestsSayIsShownBeforeAnUpgrade(t *testing.T) {
	t.Parallel()
	answers := []string{
		"", // not there: the kubelet has taken the pod of before away
		`{"spec": {"containers": [{"image": "registry.example.com/etcd:3.6.8"}]}}`,
		`{"spec": {"containers": [{"image": "registry.example.com/etcd:3.6.6"}]}}`,
	}
	server := kubeapitest.Serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next := answers[0]
		if answers = answers[1:]; next == "" || r.URL.Path != "/api/v1/namespaces/kube-system/pods/etcd-store-042-a" {
			http.NotFound(w, r)
			return
		}
		_, _ = w.Write([]byte(next))
	}))

	file := filepath.Join(t.TempDir(), "etcd.yaml")
	require.NoError(t, mirrors(t.Context(), server, file, "store-042-a"), "there is nothing to be shown")
	require.NoError(t, os.WriteFile(file, []byte("spec:\n  containers:\n  - name: etcd\n    image: registry.example.com/etcd:3.6.6\n"), 0o600))
	require.True(t, kubeapi.NotFound(mirrors(t.Context(), server, file, "store-042-a")))
	require.ErrorContains(t, mirrors(t.Context(), server, file, "store-042-a"),
		"the cluster shows pod etcd-store-042-a with image registry.example.com/etcd:3.6.8, and "+file+" says registry.example.com/etcd:3.6.6")
	require.NoError(t, mirrors(t.Context(), server, file, "store-042-a"))
}
