package main

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func get(t *testing.T, h http.Handler, path string) (int, string) {
	t.Helper()
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, httptest.NewRequest(http.MethodGet, path, nil))
	return rec.Code, rec.Body.String()
}

func TestPage(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "page.txt")
	env := map[string]string{"GREETING": "Hello", "SITE": "store 1"}
	h := page(file, func(key string) string { return env[key] })

	code, _ := get(t, h, "/healthz")
	require.Equal(t, http.StatusServiceUnavailable, code, "not ready without a text")
	code, _ = get(t, h, "/")
	require.Equal(t, http.StatusServiceUnavailable, code)

	require.NoError(t, os.WriteFile(file, []byte("Bread.\n"), 0o600))
	code, body := get(t, h, "/healthz")
	require.Equal(t, http.StatusOK, code)
	require.Equal(t, "ok\n", body)
	_, body = get(t, h, "/any")
	require.Equal(t, "Hello!\nBread.\n-- store 1\n", body)

	require.NoError(t, os.WriteFile(file, []byte("Milk.\n"), 0o600))
	_, body = get(t, h, "/")
	require.Equal(t, "Hello!\nMilk.\n-- store 1\n", body, "a changed file shows at once")

	env["MAINTENANCE"] = "true"
	_, body = get(t, h, "/")
	require.Equal(t, "Hello!\nClosed for maintenance.\n-- store 1\n", body)
}

func TestServeEndsWithItsContext(t *testing.T) {
	t.Parallel()
	probe, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	address := probe.Addr().String()
	require.NoError(t, probe.Close())

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan error, 1)
	go func() {
		done <- serve(ctx, address, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") }))
	}()
	require.Eventually(t, func() bool {
		resp, err := http.Get("http://" + address)
		if err != nil {
			return false
		}
		defer resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	}, 10*time.Second, 10*time.Millisecond)
	cancel()
	require.NoError(t, <-done)
}
