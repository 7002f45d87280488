package kubeapi

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestANodeIsReadyWhenTheClusterSaysSo(t *testing.T) {
	t.Parallel()
	condition := ""
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/api/v1/nodes/a":
			fmt.Fprintf(w, `{"status":{"conditions":[{"type":"DiskPressure","status":"False"}%s],"addresses":[{"type":"Hostname","address":"a"},{"type":"InternalIP","address":"10.0.0.7"}]}}`, condition)
		case "/readyz":
		default:
			http.Error(w, "nodes \"b\" not found", http.StatusNotFound)
		}
	}))
	defer api.Close()
	s := &Server{base: api.URL}
	require.NoError(t, s.Ready(t.Context()))
	require.ErrorContains(t, s.NodeReady(t.Context(), "b"), "404 Not Found: nodes \"b\" not found")
	condition = ""
	require.ErrorContains(t, s.NodeReady(t.Context(), "a"), "has not said anything yet")
	condition = `,{"type":"Ready","status":"False","message":"cni plugin not initialized"}`
	require.ErrorContains(t, s.NodeReady(t.Context(), "a"), "not ready: cni plugin not initialized")
	condition = `,{"type":"Ready","status":"True"}`
	require.NoError(t, s.NodeReady(t.Context(), "a"))
	var own Node
	require.NoError(t, s.Get(t.Context(), "/api/v1/nodes/a", &own))
	require.Equal(t, "10.0.0.7", own.Address())
}

func TestKubeconfigsThatGiveNoAccess(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, text, want string }{
		{"empty", "", "holds no certificate of an authority"},
		{"not base64", "    client-key-data: %%", "client-key-data: illegal base64"},
		{"no certificate within", "    certificate-authority-data: aGVsbG8=\n", "holds no certificate of an authority"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			file := filepath.Join(t.TempDir(), "config")
			require.NoError(t, os.WriteFile(file, []byte(tt.text), 0o600))
			_, err := Open(file, 6443)
			require.ErrorContains(t, err, tt.want)
		})
	}
	_, err := Open("/nowhere/config", 6443)
	require.ErrorIs(t, err, os.ErrNotExist)
}
