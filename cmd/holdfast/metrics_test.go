package main

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const exampleStatus = `{"host": "store-042-a", "site": "store-042", "agent": {"version": "v1.2.3"},
 "accepted": {"revision": "2222222222222222222222222222222222222222", "signer": "alice", "since": "2026-11-25T12:00:00Z"},
 "confirmed": {"revision": "1111111111111111111111111111111111111111", "signer": "bob", "since": "2026-11-24T12:00:00Z"},
 "phase": "apply", "settled": false, "failures": [{"phase": "apply", "message": "layer shop is not healthy"}],
 "layers": [{"name": "platform", "state": "ready", "objects": 5}, {"name": "shop", "state": "failed", "objects": 4}],
 "held": [{"kind": "Namespace", "name": "old"}], "repairs": 3, "updatedAt": "2026-11-25T12:00:01Z"}`

// TestMetrics asks for metrics as Prometheus does, through the socket.
func TestMetrics(t *testing.T) {
	t.Parallel()
	dir, err := os.MkdirTemp("", "hfm") // short: the path of a socket has at most 107 bytes
	require.NoError(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	serveMetrics(t.Context(), dir, "", slog.New(slog.DiscardHandler))
	socket := filepath.Join(dir, metricsSocket)
	info, err := os.Stat(socket)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())

	require.NotContains(t, scrape(t, socket), "holdfast_", "there is no status yet")
	require.NoError(t, os.WriteFile(filepath.Join(dir, "status.json"), []byte(exampleStatus), 0o600))
	text := scrape(t, socket)
	for _, want := range []string{
		`holdfast_agent_info{version="v1.2.3"} 1`,
		`holdfast_host_info{host="store-042-a",site="store-042"} 1`,
		`holdfast_revision_info{revision="1111111111111111111111111111111111111111",signer="bob",state="confirmed"} 1`,
		`holdfast_revision_since_seconds{state="accepted"} 1.795608e+09`,
		`holdfast_phase{phase="apply"} 1`,
		`holdfast_settled 0`,
		`holdfast_failing{phase="apply"} 1`,
		`holdfast_failing{phase="source"} 0`,
		`holdfast_layer_state{layer="shop",state="failed"} 1`,
		`holdfast_layer_objects{layer="platform"} 5`,
		`holdfast_held_objects 1`,
		`holdfast_repairs_total 3`,
		`process_resident_memory_bytes`,
	} {
		require.True(t, strings.Contains(text, "\n"+want), "no line begins with %s", want)
	}
}

// TestTheReferenceOfMetrics holds docs/reference/metrics.md at what is served.
func TestTheReferenceOfMetrics(t *testing.T) {
	t.Parallel()
	dir, err := os.MkdirTemp("", "hfm")
	require.NoError(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	require.NoError(t, os.WriteFile(filepath.Join(dir, "status.json"), []byte(exampleStatus), 0o600))
	serveMetrics(t.Context(), dir, "", slog.New(slog.DiscardHandler))
	var b strings.Builder
	b.WriteString(metricsReference)
	types := map[string]string{}
	text := scrape(t, filepath.Join(dir, metricsSocket))
	for line := range strings.Lines(text) {
		if rest, ok := strings.CutPrefix(line, "# TYPE holdfast_"); ok {
			name, kind, _ := strings.Cut(strings.TrimSpace(rest), " ")
			types[name] = kind
		}
	}
	for line := range strings.Lines(text) {
		if rest, ok := strings.CutPrefix(line, "# HELP holdfast_"); ok {
			name, help, _ := strings.Cut(strings.TrimSpace(rest), " ")
			b.WriteString("| `holdfast_" + name + "` | " + types[name] + " | " + help + " |\n")
		}
	}
	const file = "../../docs/reference/metrics.md"
	if *update {
		require.NoError(t, os.WriteFile(file, []byte(b.String()), 0o644))
	}
	have, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, b.String(), string(have), "run go test ./cmd/holdfast -run TestTheReferenceOfMetrics -update")
}

const metricsReference = `# Metrics

The agent serves metrics in Prometheus's text format on a Unix socket in its data folder, which root alone may open:

` + "```" + `
curl --unix-socket /var/lib/holdfast/metrics.sock http://localhost/metrics
` + "```" + `

No port is open unless ` + "`spec.metrics`" + ` of /etc/holdfast/agent.yaml names one, like ` + "`127.0.0.1:9465`" + `. Beside these there are the
series of Go's runtime and of the process, ` + "`go_*` and `process_*`" + `.

| series | type | what it is |
|---|---|---|
`

func scrape(t *testing.T, socket string) string {
	t.Helper()
	client := http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", socket)
	}}}
	defer client.CloseIdleConnections()
	resp, err := client.Get("http://localhost/metrics")
	require.NoError(t, err)
	defer resp.Body.Close()
	require.Equal(t, http.StatusOK, resp.StatusCode)
	data, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return string(data)
}
