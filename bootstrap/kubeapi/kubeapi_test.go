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

func TestNodesOfOthersAreRemoved(t *testing.T) {
	t.Parallel()
	var deleted []string
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Method == http.MethodDelete && r.URL.Path == "/api/v1/nodes/c":
			http.Error(w, "somebody was faster", http.StatusNotFound)
		case r.Method == http.MethodDelete && r.URL.Path == "/api/v1/nodes/d":
			http.Error(w, "no", http.StatusForbidden)
		case r.Method == http.MethodDelete:
			deleted = append(deleted, r.URL.Path)
		default:
			fmt.Fprint(w, `{"items":[{"metadata":{"name":"a"}},{"metadata":{"name":"b"}},{"metadata":{"name":"c"}},{"metadata":{"name":"d"}}]}`)
		}
	}))
	defer api.Close()
	s := &Server{base: api.URL}
	gone, err := s.KeepNodes(t.Context(), func(name string) bool { return name == "a" || name == "d" })
	require.NoError(t, err)
	require.Equal(t, []string{"b", "c"}, gone)
	require.Equal(t, []string{"/api/v1/nodes/b"}, deleted)
	gone, err = s.KeepNodes(t.Context(), func(name string) bool { return name != "d" })
	require.ErrorContains(t, err, "403 Forbidden")
	require.Empty(t, gone)
}

func TestAClusterIsKnownByItsAuthority(t *testing.T) {
	t.Parallel()
	digests := map[string]bool{}
	for _, text := range []string{"aGVsbG8=", "d29ybGQ="} {
		file := filepath.Join(t.TempDir(), "config")
		require.NoError(t, os.WriteFile(file, []byte("    certificate-authority-data: "+text+"\n"), 0o600))
		digest, err := Authority(file)
		require.NoError(t, err)
		digests[digest] = true
	}
	require.Len(t, digests, 2)
	file := filepath.Join(t.TempDir(), "config")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	_, err := Authority(file)
	require.ErrorContains(t, err, "holds no certificate of an authority", "none is not the same as none")
}
