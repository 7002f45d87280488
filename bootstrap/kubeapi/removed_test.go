package kubeapi

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestRemovedHostsAreKeptOutUntilTheyAreLetIn has the API refuse a write once, as if
// the power were cut there.
func TestRemovedHostsAreKeptOutUntilTheyAreLetIn(t *testing.T) {
	t.Parallel()
	objects, refused := map[string]string{}, ""
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.URL.Path == refused {
			refused = ""
			http.Error(w, "not now", http.StatusServiceUnavailable)
			return
		}
		text, there := objects[r.URL.Path]
		switch {
		case r.Method == http.MethodPatch:
			body, _ := io.ReadAll(r.Body)
			objects[r.URL.Path] = string(body)
		case !there:
			http.NotFound(w, r)
		case r.Method == http.MethodDelete:
			delete(objects, r.URL.Path)
		default:
			fmt.Fprint(w, text)
		}
	}))
	defer api.Close()
	s := &Server{base: api.URL}
	out := func(want ...string) {
		t.Helper()
		got, err := s.KeptOut(t.Context())
		require.NoError(t, err)
		require.Equal(t, strings.Join(want, " "), strings.Join(got, " "))
	}
	for _, refused = range []string{bindings + removedPolicy, policies + removedPolicy} {
		require.ErrorContains(t, s.KeepOut(t.Context(), []string{"c", "b"}), "not now")
		out()
	}
	require.NoError(t, s.KeepOut(t.Context(), []string{"c", "b"}))
	out("b", "c")
	require.Contains(t, objects[policies+removedPolicy], `request.userInfo.username in ['system:node:b', 'system:node:c']`)
	require.Contains(t, objects[bindings+removedPolicy], `"Deny"`)

	require.NoError(t, s.LetIn(t.Context(), "a"), "who never was removed is not kept out")
	require.NoError(t, s.LetIn(t.Context(), "b"))
	out("c")
	for _, refused = range []string{bindings + removedPolicy, policies + removedPolicy} {
		require.ErrorContains(t, s.LetIn(t.Context(), "c"), "not now")
		out("c")
	}
	require.NoError(t, s.LetIn(t.Context(), "c"))
	out()
	require.Empty(t, objects)
	require.NoError(t, s.KeepOut(t.Context(), nil))
}
