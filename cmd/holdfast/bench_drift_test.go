package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// BenchmarkDrift changes a hundred objects of a hundred layers, and deletes a
// hundred others, one after the other. The clock runs from the API server's answer
// to that until the object is again as its layer has it. The floor is that
// answer: what the server needs to write one object.
func BenchmarkDrift(b *testing.B) {
	l := newBenchLine(b)
	l.opts.interval = time.Second
	l.startProcess()
	server := l.server()
	l.push(server, benchFleet{namespace: "ours", layers: benchLayers})
	server.settle(b)
	for b.Loop() {
		var repairs, bare []time.Duration
		for n := range benchLayers {
			began := time.Now()
			server.edit(b, n)
			edited := time.Now()
			server.awaits(b, "configmaps", n, func(o drifted) bool { return o.Data["value"] == "1" })
			repairs, bare = append(repairs, time.Since(edited)), append(bare, edited.Sub(began))

			was, _ := server.get(b, "serviceaccounts", n)
			server.remove(b, "serviceaccounts", n)
			deleted := time.Now()
			server.awaits(b, "serviceaccounts", n, func(o drifted) bool { return o.Metadata.UID != was.Metadata.UID })
			repairs = append(repairs, time.Since(deleted))
		}
		slices.Sort(repairs)
		slices.Sort(bare)
		ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
		b.ReportMetric(ms(repairs[len(repairs)/2]), "drift-median-ms")
		b.ReportMetric(ms(repairs[len(repairs)*99/100-1]), "drift-p99-ms")
		b.ReportMetric(ms(bare[len(bare)/2]), "drift-bare-ms")
		b.ReportMetric(float64(len(repairs)), "repairs")
	}
	b.ReportMetric(0, "ns/op")
	l.stop()
}

// drifted is what tells an object from what it was.
type drifted struct {
	Metadata struct{ UID string }
	Data     map[string]string
}

func driftPath(resource string, n int) string {
	return fmt.Sprintf("/api/v1/namespaces/ours/%s/app-%03d", resource, n)
}

// edit gives a layer's ConfigMap another value.
func (s *bareServer) edit(tb testing.TB, n int) {
	tb.Helper()
	require.NoError(tb, s.patch(driftPath("configmaps", n), fmt.Appendf(nil,
		`{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "app-%03d"}, "data": {"value": "drifted"}}`, n)))
}

// get returns an object that is there.
func (s *bareServer) get(tb testing.TB, resource string, n int) (o drifted, there bool) {
	tb.Helper()
	resp, err := s.client.Get(s.url + driftPath(resource, n))
	require.NoError(tb, err)
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	require.NoError(tb, err)
	if resp.StatusCode == http.StatusNotFound {
		return o, false
	}
	require.Equal(tb, http.StatusOK, resp.StatusCode, "%s", data)
	require.NoError(tb, json.Unmarshal(data, &o))
	return o, true
}

func (s *bareServer) remove(tb testing.TB, resource string, n int) {
	tb.Helper()
	req, err := http.NewRequest(http.MethodDelete, s.url+driftPath(resource, n), nil)
	require.NoError(tb, err)
	resp, err := s.client.Do(req)
	require.NoError(tb, err)
	resp.Body.Close()
	require.Equal(tb, http.StatusOK, resp.StatusCode)
}

func (s *bareServer) awaits(tb testing.TB, resource string, n int, good func(drifted) bool) {
	tb.Helper()
	require.Eventually(tb, func() bool {
		o, there := s.get(tb, resource, n)
		return there && good(o)
	}, 5*time.Minute, 2*time.Millisecond, driftPath(resource, n))
}
