package kubeadm

import (
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-fleet/holdfast/bootstrap/kubeapi"
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
	api := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next := answers[0]
		if answers = answers[1:]; next == "" || r.URL.Path != "/api/v1/namespaces/kube-system/pods/etcd-store-042-a" {
			http.NotFound(w, r)
			return
		}
		_, _ = w.Write([]byte(next))
	}))
	certificate, authority := certificateFor(t, "kubernetes")
	api.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}}
	api.StartTLS()
	t.Cleanup(api.Close)
	server := kubeapi.New(api.Listener.Addr().String(), authority, certificate)
	t.Cleanup(server.Close)

	file := filepath.Join(t.TempDir(), "etcd.yaml")
	require.NoError(t, mirrors(t.Context(), server, file, "store-042-a"), "there is nothing to be shown")
	require.NoError(t, os.WriteFile(file, []byte("spec:\n  containers:\n  - name: etcd\n    image: registry.example.com/etcd:3.6.6\n"), 0o600))
	require.True(t, kubeapi.NotFound(mirrors(t.Context(), server, file, "store-042-a")))
	require.ErrorContains(t, mirrors(t.Context(), server, file, "store-042-a"),
		"the cluster shows pod etcd-store-042-a with image registry.example.com/etcd:3.6.8, and "+file+" says registry.example.com/etcd:3.6.6")
	require.NoError(t, mirrors(t.Context(), server, file, "store-042-a"))
}
