package gitsource_test

import (
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-fleet/holdfast/gitsource/gitsourcetest"
)

// BenchmarkLargePack takes in 200 MB that do not compress, by each kind of
// source, each in a process of its own.
func BenchmarkLargePack(b *testing.B) {
	key := newSSHBenchKey(b)
	repo := gitsourcetest.NewRepo(b)
	repo.Git("config", "core.bigFileThreshold", "1m") // or git compares each with each, for minutes
	files, data := map[string]string{key.File(): key.Public()}, make([]byte, 2<<20)
	for n := range 100 {
		_, err := rand.Read(data)
		require.NoError(b, err)
		files[fmt.Sprintf("blobs/%d", n)] = string(data)
	}
	repo.Commit(gitsourcetest.Commit{By: key.Key, Files: files})
	mirror, stick := filepath.Join(b.TempDir(), "mirror"), b.TempDir()
	bundle := filepath.Join(stick, "full.bundle")
	repo.Bundle(bundle)
	mirrorOf(b, mirror, bundle, repo.Head())
	for _, bb := range []struct {
		name, unit string
		host       child
	}{
		{"smart HTTP", "http", child{URL: gitsourcetest.Serve(b, repo.Dir)}},
		{"bundle", "bundle", child{Stick: stick}},
		{"static mirror", "mirror", child{URL: gitsourcetest.ServeHandler(b, http.FileServer(http.Dir(mirror))), Mirror: true}},
	} {
		b.Run(bb.name, func(b *testing.B) {
			host := bb.host
			host.Anchor = map[string][]byte{"allowed_signers": []byte(key.Public())}
			for b.Loop() {
				host.Dir = b.TempDir()
				cost := host.run(b)
				require.Equal(b, repo.Head(), cost.Commit)
				b.ReportMetric(cost.PeakMB, "200MB-"+bb.unit+"-peak-MB")
				b.ReportMetric(1000*cost.FetchTook.Seconds(), "200MB-"+bb.unit+"-ms")
				require.NoError(b, os.RemoveAll(host.Dir))
			}
		})
	}
}

// mirrorOf makes a static mirror of one bundle that git wrote, which it does faster.
func mirrorOf(b *testing.B, dir, bundle, tip string) {
	b.Helper()
	data, err := os.ReadFile(bundle)
	require.NoError(b, err)
	sum := fmt.Sprintf("%x", sha256.Sum256(data))
	head := fmt.Sprintf(`{"version":1,"branch":"main","tip":%q,"files":[{"sha256":%q,"size":%d,"tip":%[1]q}]}`, tip, sum, len(data))
	require.NoError(b, os.Mkdir(dir, 0o700))
	require.NoError(b, os.WriteFile(filepath.Join(dir, sum+".bundle"), data, 0o600))
	require.NoError(b, os.WriteFile(filepath.Join(dir, "head.json"), []byte(head), 0o600))
}

// BenchmarkQuietPoll measures polls without news over smart HTTP, in a process of
// its own.
func BenchmarkQuietPoll(b *testing.B) {
	key := newSSHBenchKey(b)
	repo := gitsourcetest.NewRepo(b)
	repo.Commit(gitsourcetest.Commit{By: key.Key, Files: map[string]string{key.File(): key.Public()}})
	host := child{URL: gitsourcetest.Serve(b, repo.Dir), Anchor: map[string][]byte{"allowed_signers": []byte(key.Public())}, Quiet: 100}
	for b.Loop() {
		host.Dir = b.TempDir()
		b.ReportMetric(1000*host.run(b).Quiet.Seconds(), "ms-cpu/http-poll")
	}
}
