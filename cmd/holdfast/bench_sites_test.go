package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/holdfast-fleet/holdfast/fleet"
	"github.com/holdfast-fleet/holdfast/fleet/fleettest"
	"github.com/holdfast-fleet/holdfast/memo"
	"github.com/holdfast-fleet/holdfast/render"
	"github.com/holdfast-fleet/holdfast/review"
)

// BenchmarkSites lints a fleet of 10,000 sites with nothing kept, and again. The
// floor is one process of stock kustomize for each layer of each site.
func BenchmarkSites(b *testing.B) {
	const sites, sample = 10_000, 100
	dir, cache := filepath.Join(b.TempDir(), "fleet"), filepath.Join(b.TempDir(), "cache")
	require.NoError(b, fleettest.Fleet{Sites: sites}.Write(dir))
	program := buildProgram(b)
	for b.Loop() {
		require.NoError(b, os.RemoveAll(cache))
		cold, rss := lintProcess(b, program, dir, cache)
		warm, _ := lintProcess(b, program, dir, cache)
		b.ReportMetric(cold.took.Seconds(), "s/sites-cold")
		b.ReportMetric(cold.cpu.Seconds(), "s-cpu/sites-cold")
		b.ReportMetric(warm.took.Seconds(), "s/sites-warm")
		b.ReportMetric(warm.cpu.Seconds(), "s-cpu/sites-warm")
		b.ReportMetric(rss, "sites-rss-MB")
		stock := stockKustomize(b, dir, sample)
		b.ReportMetric(stock.took.Seconds()*sites/sample, "s/sites-stock")
		b.ReportMetric(stock.cpu.Seconds()*sites/sample, "s-cpu/sites-stock")
		b.ReportMetric(float64(hostRender(b, dir).Microseconds())/1000, "host-render-ms")
	}
}

// cost is what processes took, on the clock and of all processors.
type cost struct{ took, cpu time.Duration }

func lintProcess(b *testing.B, program, dir, cache string) (c cost, rss float64) {
	b.Helper()
	cmd := exec.Command(program, "lint", dir)
	cmd.Env = append(os.Environ(), cacheVariable+"="+cache)
	cmd.Stderr = os.Stderr
	begin := time.Now()
	require.NoError(b, cmd.Run())
	usage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage)
	require.True(b, ok)
	return cost{time.Since(begin), processorTime(cmd)}, float64(usage.Maxrss) / 1024
}

// processorTime is that of a process that has ended, and of those that it waited for.
func processorTime(cmd *exec.Cmd) time.Duration {
	return cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
}

// stockKustomize builds the layers of some sites, on all processors.
func stockKustomize(b *testing.B, dir string, sites int) cost {
	b.Helper()
	program, err := filepath.Abs("../../build/kustomize")
	require.NoError(b, err)
	f, err := fleet.LoadWith(os.DirFS(dir), fleet.Options{})
	require.NoError(b, err)
	var group errgroup.Group
	group.SetLimit(runtime.GOMAXPROCS(0))
	var cpu atomic.Int64
	begin := time.Now()
	for i := range sites {
		site := f.Sites[i*len(f.Sites)/sites]
		for _, layer := range site.Profile.Layers {
			folder := layer.Path
			if overlay, ok := site.Overlays[layer.Name]; ok {
				folder = overlay
			}
			group.Go(func() error {
				cmd := exec.Command(program, "build", "--load-restrictor", "LoadRestrictionsNone", path.Join(dir, folder))
				err := cmd.Run()
				cpu.Add(int64(processorTime(cmd)))
				return err
			})
		}
	}
	require.NoError(b, group.Wait())
	return cost{time.Since(begin), time.Duration(cpu.Load())}
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

// BenchmarkDiff compares two commits of a fleet of 10,000 sites, with what the
// diff before found out: one line of a layer that a third of the sites have,
// also on API servers, and one variable of one site.
func BenchmarkDiff(b *testing.B) {
	dir, cache := filepath.Join(b.TempDir(), "fleet"), filepath.Join(b.TempDir(), "cache")
	require.NoError(b, fleettest.Fleet{Sites: 10_000}.Write(dir))
	program := buildProgram(b)
	deployment := filepath.Join(dir, "bases", fleettest.LayerName(10), "deployment.yaml")
	f, err := fleet.LoadWith(os.DirFS(dir), fleet.Options{})
	require.NoError(b, err)
	site := filepath.Join(dir, f.Sites[0].Dir, "site.yaml")
	commit := func(file, old, new string) {
		if file != "" {
			data, err := os.ReadFile(file)
			require.NoError(b, err)
			changed := strings.Replace(string(data), old, new, 1)
			require.NotEqual(b, string(data), changed)
			require.NoError(b, os.WriteFile(file, []byte(changed), 0o644))
		}
		benchGit(b, dir, "add", ".")
		benchGit(b, dir, "commit", "-q", "-m", "Change "+path.Base(file))
	}
	benchGit(b, dir, "init", "-q", "-b", "main")
	commit("", "", "")
	benchGit(b, dir, "repack", "-q", "-a", "-d") // as a clone is
	for b.Loop() {
		commit(deployment, "cpu: 5m", "cpu: 6m")
		took, _ := diffProcess(b, program, dir, cache) // keeps what it finds out
		b.ReportMetric(took.Seconds(), "s/diff-layer-cold")
		commit(deployment, "cpu: 6m", "cpu: 7m")
		took, changed := diffProcess(b, program, dir, cache)
		b.ReportMetric(took.Seconds(), "s/diff-layer")
		b.ReportMetric(float64(changed), "sites/diff-layer")
		trials(b, program, dir, cache)
		commit(site, "variables:", "variables:\n    DOMAIN: example.org")
		took, changed = diffProcess(b, program, dir, cache)
		require.Equal(b, 1, changed)
		b.ReportMetric(took.Seconds(), "s/diff-site")
	}
}

// diffProcess compares HEAD with the commit before, and counts the sites that change.
func diffProcess(b *testing.B, program, dir, cache string, more ...string) (time.Duration, int) {
	b.Helper()
	cmd := exec.Command(program, append([]string{"diff", "HEAD~1..HEAD", "--fleet", dir, "-o", "json", "--exit-code=false"}, more...)...)
	cmd.Env = append(os.Environ(), cacheVariable+"="+cache)
	cmd.Stderr = os.Stderr
	begin := time.Now()
	out, err := cmd.Output()
	took := time.Since(begin)
	require.NoError(b, err)
	var changes review.Changes
	require.NoError(b, json.Unmarshal(out, &changes))
	sites := map[string]bool{}
	for _, g := range changes.Groups {
		for _, s := range g.Sites {
			sites[s] = true
		}
	}
	return took, len(sites)
}

func benchGit(b *testing.B, dir string, args ...string) {
	b.Helper()
	cmd := exec.Command("git", append([]string{"-C", dir, "-c", "user.name=Bench", "-c", "user.email=bench@example.com", "-c", "gc.auto=0"}, args...)...)
	cmd.Stderr = os.Stderr
	require.NoError(b, cmd.Run())
}

func buildProgram(b *testing.B) string {
	b.Helper()
	program := filepath.Join(b.TempDir(), "holdfast")
	build := exec.Command("go", "build", "-trimpath", "-o", program, ".")
	build.Stderr = os.Stderr
	require.NoError(b, build.Run())
	return program
}
