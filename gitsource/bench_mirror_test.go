package gitsource_test

import (
	"context"
	"io"
	"net/http"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-fleet/holdfast/gitsource"
	"github.com/holdfast-fleet/holdfast/gitsource/gitsourcetest"
	"github.com/holdfast-fleet/holdfast/trust"
)

// BenchmarkStaticMirror measures polls without news: what one costs a host, and
// how many a real nginx answers on this machine beside the clients that ask.
func BenchmarkStaticMirror(b *testing.B) {
	key := gitsourcetest.NewSSHKey(b, "alice@example.com", "ed25519")
	repo := gitsourcetest.NewRepo(b)
	repo.Commit(gitsourcetest.Commit{By: key, Files: map[string]string{key.File(): key.Public()}})
	dir := filepath.Join(b.TempDir(), "mirror")
	ctx := context.Background()
	_, err := gitsource.PublishMirror(ctx, dir, repo.Dir, "main")
	require.NoError(b, err)
	nginx := gitsourcetest.NewNginx(b, dir, "access_log off;")
	anchor, err := trust.ParseKeyring(map[string][]byte{"allowed_signers": []byte(key.Public())})
	require.NoError(b, err)
	r, err := gitsource.Open(gitsource.Options{Dir: b.TempDir(), Anchor: anchor, Sources: []gitsource.Source{{URL: nginx.URL, Mirror: true}}})
	require.NoError(b, err)
	defer r.Close()
	poll := func() {
		require.NoError(b, r.Fetch(ctx))
		_, err := r.Verify(ctx)
		require.NoError(b, err)
	}
	poll()
	const polls = 200
	for b.Loop() {
		before := cpu()
		for range polls {
			poll()
		}
		b.ReportMetric(float64((cpu()-before).Microseconds())/1000/polls, "ms-cpu/poll")
		took := ask(b, nginx.URL+"/head.json", 5*time.Second)
		b.ReportMetric(float64(len(took))/5, "polls/s")
		b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "ms-p99")
	}
}

// ask sends conditional requests over 64 connections, and returns how long each
// took, sorted.
func ask(b *testing.B, url string, during time.Duration) []time.Duration {
	b.Helper()
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
	defer client.CloseIdleConnections()
	res, err := client.Get(url)
	require.NoError(b, err)
	res.Body.Close()
	tag := res.Header.Get("Etag")
	require.NotEmpty(b, tag)
	var mu sync.Mutex
	var all []time.Duration
	var wg sync.WaitGroup
	end := time.Now().Add(during)
	for range 64 {
		wg.Go(func() {
			var mine []time.Duration
			for time.Now().Before(end) {
				req, _ := http.NewRequest(http.MethodGet, url, nil)
				req.Header.Set("If-None-Match", tag)
				started := time.Now()
				res, err := client.Do(req)
				if err != nil || res.StatusCode != http.StatusNotModified {
					b.Errorf("%v %v", res, err)
					return
				}
				io.Copy(io.Discard, res.Body)
				res.Body.Close()
				mine = append(mine, time.Since(started))
			}
			mu.Lock()
			defer mu.Unlock()
			all = append(all, mine...)
		})
	}
	wg.Wait()
	slices.Sort(all)
	return all
}
