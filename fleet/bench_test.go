package fleet_test

import (
	"io/fs"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-fleet/holdfast/fleet"
	"github.com/holdfast-fleet/holdfast/fleet/fleettest"
)

// gitFolder is a folder whose digests git knows.
type gitFolder struct {
	fs.FS
	trees map[string]string
}

func (g gitFolder) Digest(name string) (string, error) { return g.trees[name], nil }

func (g gitFolder) ReadDir(name string) ([]fs.DirEntry, error) { return fs.ReadDir(g.FS, name) }
func (g gitFolder) Stat(name string) (fs.FileInfo, error)      { return fs.Stat(g.FS, name) }
func (g gitFolder) Lstat(name string) (fs.FileInfo, error)     { return fs.Lstat(g.FS, name) }
func (g gitFolder) ReadLink(name string) (string, error)       { return fs.ReadLink(g.FS, name) }
func (g gitFolder) ReadFile(name string) ([]byte, error)       { return fs.ReadFile(g.FS, name) }

// BenchmarkLoad loads a fleet of 10,000 sites, without a memo's help and with it.
func BenchmarkLoad(b *testing.B) {
	dir := b.TempDir()
	require.NoError(b, fleettest.Fleet{Sites: 10_000}.Write(dir))
	git := func(args ...string) string {
		out, err := exec.Command("git", append([]string{"-C", dir, "-c", "gc.auto=0"}, args...)...).Output()
		require.NoError(b, err)
		return string(out)
	}
	git("init", "-q")
	git("add", ".")
	folder := gitFolder{os.DirFS(dir), map[string]string{}}
	for line := range strings.Lines(git("ls-tree", "-r", "-t", strings.TrimSpace(git("write-tree")))) {
		meta, name, _ := strings.Cut(strings.TrimSpace(line), "\t")
		folder.trees[name] = strings.Fields(meta)[2]
	}
	m := &memory{kept: map[string][]byte{}}
	cpu := func() time.Duration {
		var u syscall.Rusage
		require.NoError(b, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
		return time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	for range b.N {
		clear(m.kept)
		start, used := time.Now(), cpu()
		f, err := fleet.LoadWith(folder, fleet.Options{Memo: m})
		require.NoError(b, err)
		require.Len(b, f.Sites, 10_000)
		b.ReportMetric(float64(time.Since(start).Milliseconds()), "ms/load-cold")
		b.ReportMetric(float64((cpu() - used).Milliseconds()), "cpu-ms/load-cold")
		start, used = time.Now(), cpu()
		_, err = fleet.LoadWith(folder, fleet.Options{Memo: m})
		require.NoError(b, err)
		b.ReportMetric(float64(time.Since(start).Milliseconds()), "ms/load-warm")
		b.ReportMetric(float64((cpu() - used).Milliseconds()), "cpu-ms/load-warm")
	}
}
