package gitsource_test

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-fleet/holdfast/gitsource"
	"github.com/holdfast-fleet/holdfast/gitsource/gitsourcetest"
)

// BenchmarkFetchAndVerify follows 1,000 signed commits of a repository of 10,000
// files from its first one, and runs git fetch of the same beside it.
func BenchmarkFetchAndVerify(b *testing.B) {
	h := history{commits: 1_000, files: 10_000, keys: []benchKey{newSSHBenchKey(b)}, path: func(n int) string { return fmt.Sprintf("sites/%d/%d.yaml", n/5, n) }}
	repo := gitsourcetest.NewRepo(b)
	line := h.write(b, repo)
	url, anchor := gitsourcetest.Serve(b, repo.Dir), h.anchor(b)
	ctx := context.Background()
	var first, fetch, verify, quiet, gitFirst, gitFetch time.Duration
	for b.Loop() {
		repo.Git("update-ref", "refs/heads/main", line[0].hash)
		r, err := gitsource.Open(gitsource.Options{Dir: b.TempDir(), Sources: []gitsource.Source{{URL: url}}, Anchor: anchor})
		require.NoError(b, err)
		bare := filepath.Join(b.TempDir(), "bare")
		require.NoError(b, exec.Command("git", "init", "-q", "--bare", bare).Run())
		git := func() error {
			return exec.Command("git", "-C", bare, "fetch", "-q", url, "main:refs/heads/main").Run()
		}
		first += timed(b, func() error { return r.Fetch(ctx) })
		first += timed(b, func() error { _, err := r.Verify(ctx); return err })
		gitFirst += timed(b, git)
		repo.Git("update-ref", "refs/heads/main", line[len(line)-1].hash)
		fetch += timed(b, func() error { return r.Fetch(ctx) })
		verify += timed(b, func() error { _, err := r.Verify(ctx); return err })
		gitFetch += timed(b, git)
		quiet += timed(b, func() error { return r.Fetch(ctx) })
		quiet += timed(b, func() error { _, err := r.Verify(ctx); return err })
		rev, _, err := r.Floor()
		require.NoError(b, err)
		require.Equal(b, line[len(line)-1].hash, rev.Commit())
		require.NoError(b, r.Close())
	}
	n := float64(b.N)
	b.ReportMetric(first.Seconds()/n, "s/first-contact")
	b.ReportMetric(gitFirst.Seconds()/n, "s/git-first")
	b.ReportMetric(fetch.Seconds()/n, "s/fetch")
	b.ReportMetric(verify.Seconds()/n, "s/verify")
	b.ReportMetric(gitFetch.Seconds()/n, "s/git-fetch")
	b.ReportMetric((fetch+verify).Seconds()/gitFetch.Seconds(), "x-git-fetch")
	b.ReportMetric(1000*quiet.Seconds()/n, "ms/quiet-poll")
}

func timed(b *testing.B, f func() error) time.Duration {
	b.Helper()
	started := time.Now()
	require.NoError(b, f())
	return time.Since(started)
}

// BenchmarkTenThousandCommits follows 10,000 signed commits from the first one,
// in a process of its own, beside the bare cost of their signature checks.
func BenchmarkTenThousandCommits(b *testing.B) {
	for _, bb := range []struct {
		name, unit string
		extra      map[string]string
	}{
		{"each key may do everything", "keys", nil},
		{"rules by path", "rules", map[string]string{"trust/policy.yaml": benchPolicy}},
	} {
		b.Run(bb.name, func(b *testing.B) {
			h := history{
				commits: 10_001, files: 10_000, keys: []benchKey{newSSHBenchKey(b), newPGPBenchKey(b)}, extra: bb.extra,
				path: func(n int) string { return fmt.Sprintf("sites/%d/%d/%d.yaml", n/500, n/10, n) },
			}
			repo := gitsourcetest.NewRepo(b)
			line := h.write(b, repo)
			host := child{URL: gitsourcetest.Serve(b, repo.Dir), Anchor: h.anchorFiles()}
			for b.Loop() {
				host.Dir = b.TempDir()
				repo.Git("update-ref", "refs/heads/main", line[0].hash)
				require.Equal(b, line[0].hash, host.run(b).Commit)
				repo.Git("update-ref", "refs/heads/main", line[len(line)-1].hash)
				cost := host.run(b)
				require.Equal(b, line[len(line)-1].hash, cost.Commit)
				floor, floorTook := bare(b, line[1:])
				b.ReportMetric(1000*cost.FetchTook.Seconds(), "10k-"+bb.unit+"-fetch-ms")
				b.ReportMetric(1000*cost.VerifyTook.Seconds(), "10k-"+bb.unit+"-verify-ms")
				b.ReportMetric(1000*floorTook.Seconds(), "10k-"+bb.unit+"-bare-ms")
				b.ReportMetric(1000*cost.Verify.Seconds(), "10k-"+bb.unit+"-verify-cpu-ms")
				b.ReportMetric(1000*floor.Seconds(), "10k-"+bb.unit+"-bare-cpu-ms")
				b.ReportMetric(cost.PeakMB, "10k-"+bb.unit+"-peak-MB")
			}
		})
	}
}

const benchPolicy = `apiVersion: holdfast.dev/v1alpha1
kind: TrustPolicy
spec:
  mode: commit
  groups:
    owners: [alice@example.com, bob@example.com]
    operators: [alice@example.com, bob@example.com]
  rules:
  - {paths: ["sites/**"], groups: [operators]}
  - {paths: ["**"], groups: [owners], threshold: 2}
`
