package main

import (
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/holdfast-fleet/holdfast/fleet"
	"github.com/holdfast-fleet/holdfast/fleet/fleettest"
	"github.com/holdfast-fleet/holdfast/memo"
	"github.com/holdfast-fleet/holdfast/render"
)

// BenchmarkSites lints a fleet of 10,000 sites with nothing kept, and again. The
// floor is one process of stock kustomize for each layer of each site.
func BenchmarkSites(b *testing.B) {
	const sites, sample = 10_000, 100
	dir, cache := filepath.Join(b.TempDir(), "fleet"), filepath.Join(b.TempDir(), "cache")
	require.NoError(b, fleettest.Fleet{Sites: sites}.Write(dir))
	program := filepath.Join(b.TempDir(), "holdfast")
	build := exec.Command("go", "build", "-trimpath", "-o", program, ".")
	build.Stderr = os.Stderr
	require.NoError(b, build.Run())
	for b.Loop() {
		require.NoError(b, os.RemoveAll(cache))
		cold, rss := lintProcess(b, program, dir, cache)
		warm, _ := lintProcess(b, program, dir, cache)
		b.ReportMetric(cold.Seconds(), "s/sites-cold")
		b.ReportMetric(warm.Seconds(), "s/sites-warm")
		b.ReportMetric(rss, "sites-rss-MB")
		stock := stockKustomize(b, dir, sample)
		b.ReportMetric(stock.Seconds()*sites/sample, "s/sites-stock")
		b.ReportMetric(float64(hostRender(b, dir).Microseconds())/1000, "host-render-ms")
	}
}

func lintProcess(b *testing.B, program, dir, cache string) (took time.Duration, rss float64) {
	b.Helper()
	cmd := exec.Command(program, "lint", dir)
	cmd.Env = append(os.Environ(), cacheVariable+"="+cache)
	cmd.Stderr = os.Stderr
	begin := time.Now()
	require.NoError(b, cmd.Run())
	usage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage)
	require.True(b, ok)
	return time.Since(begin), float64(usage.Maxrss) / 1024
}

// stockKustomize builds the layers of some sites, on all processors.
func stockKustomize(b *testing.B, dir string, sites int) time.Duration {
	b.Helper()
	program, err := filepath.Abs("../../build/kustomize")
	require.NoError(b, err)
	f, err := fleet.LoadWith(os.DirFS(dir), fleet.Options{})
	require.NoError(b, err)
	var group errgroup.Group
	group.SetLimit(runtime.GOMAXPROCS(0))
	begin := time.Now()
	for i := range sites {
		site := f.Sites[i*len(f.Sites)/sites]
		for _, layer := range site.Profile.Layers {
			folder := layer.Path
			if overlay, ok := site.Overlays[layer.Name]; ok {
				folder = overlay
			}
			group.Go(func() error {
				return exec.Command(program, "build", "--load-restrictor", "LoadRestrictionsNone", path.Join(dir, folder)).Run()
			})
		}
	}
	require.NoError(b, group.Wait())
	return time.Since(begin)
}

// hostRender renders for one host what it rendered before.
func hostRender(b *testing.B, dir string) time.Duration {
	b.Helper()
	f, err := fleet.Load(os.DirFS(dir))
	require.NoError(b, err)
	store, err := memo.Open(b.TempDir(), "bench", 1<<30)
	require.NoError(b, err)
	defer store.Close()
	var took time.Duration
	for range 2 {
		begin := time.Now()
		r := render.New(memo.Dir(dir), render.Options{Memo: store})
		_, err := r.Host(f.Sites[0].Hosts[0])
		require.NoError(b, err)
		r.Close()
		took = time.Since(begin)
	}
	return took
}
