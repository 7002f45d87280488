package kubeadm

import (
	"encoding/json"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-fleet/holdfast/bootstrap/kubeapi/kubeapitest"
)

// TestOneHostJoinsTheControlPlaneAtATime has b begin, and c ask for the same.
func TestOneHostJoinsTheControlPlaneAtATime(t *testing.T) {
	t.Parallel()
	var nodes kubeapitest.Nodes
	out := ""
	mux := http.NewServeMux()
	nodes.Handle(mux)
	mux.HandleFunc("GET /apis/admissionregistration.k8s.io/", func(w http.ResponseWriter, _ *http.Request) {
		annotations := map[string]string{"holdfast.dev/removed-hosts": out}
		_ = json.NewEncoder(w).Encode(map[string]any{"metadata": map[string]any{"annotations": annotations}})
	})
	server := kubeapitest.Serve(t, mux)
	begun := func() *Local {
		l := &Local{}
		require.NoError(t, l.reserve(t.Context(), server, "b"))
		return l
	}
	refused := func(l *Local) {
		t.Helper()
		require.ErrorContains(t, l.reserve(t.Context(), server, "c"), "b joins the control plane just now: one at a time")
	}

	l := begun()
	refused(l)
	require.NoError(t, l.reserve(t.Context(), server, "b"), "it was cut off, and asks again")
	out = "b"
	require.NoError(t, l.reserve(t.Context(), server, "c"), "b was removed meanwhile")

	out = "a"
	l = begun()
	refused(l)
	nodes = nodes.And("b", "v1.36.3", true, false)
	refused(l)
	nodes = kubeapitest.Nodes{}.And("b", "v1.36.3", true, true)
	require.NoError(t, l.reserve(t.Context(), server, "c"), "b is a node")

	nodes = nil
	l = begun()
	l.since = l.since.Add(-joinTime)
	require.NoError(t, l.reserve(t.Context(), server, "b"), "nobody else wants to")
	refused(l)
	l.since = l.since.Add(-joinTime)
	require.NoError(t, l.reserve(t.Context(), server, "b"))
	require.NoError(t, l.reserve(t.Context(), server, "c"), "b has had its time, though it tries again")
	require.ErrorContains(t, l.reserve(t.Context(), server, "b"), "c joins the control plane just now")

	l = begun()
	l.since = l.since.Add(-joinTime)
	require.NoError(t, l.reserve(t.Context(), server, "c"), "b has taken too long")
}
