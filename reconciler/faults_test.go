package reconciler_test

import (
	"bytes"
	"errors"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/holdfast-fleet/holdfast/orders"
	"github.com/holdfast-fleet/holdfast/reconciler"
)

// TestAClockThatJumps sets the wall clock ten years off while the agent waits for
// all that it waits for: none of it comes early, and none is missed.
func TestAClockThatJumps(t *testing.T) {
	t.Parallel()
	for name, jump := range map[string]time.Duration{"ahead": 10 * 365 * 24 * time.Hour, "back": -10 * 365 * 24 * time.Hour} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t)
			var off atomic.Int64
			s.now = func() time.Time { return time.Now().Add(time.Duration(off.Load())).Round(0) }
			var applied atomic.Int64 // when, by the test's own clock
			began := time.Now()
			s.cluster.onCall = func(call string) {
				if call == "apply base" {
					applied.Store(int64(time.Since(began)))
				}
			}
			files := s.layers(map[string]string{"base": "|text"})
			files["profiles/shop/profile.yaml"] = strings.Replace(files["profiles/shop/profile.yaml"], "spec:\n", "spec:\n  confirm: 1s\n", 1)
			s.begin(map[string]string{"base": "|text"})
			first := s.commit(files)
			s.start()
			s.until("runs", runs(first))

			files["profiles/shop/addons/base/objects.yaml"] += "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: more}\n"
			second := s.commit(files)
			s.until("is watched before it is confirmed", func(reconciler.Status) bool { return s.cluster.has("ConfigMap/more") })
			off.Store(int64(jump))
			s.until("is confirmed", runs(second))
			require.GreaterOrEqual(t, time.Since(began)-time.Duration(applied.Load()), time.Second, "not before its time")

			s.cluster.set(func(c *fakeCluster) { c.failing["base"] = errors.New("no") })
			files["profiles/shop/addons/base/objects.yaml"] += "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: most}\n"
			third := s.commit(files)
			s.until("waits to try again", fails(reconciler.PhaseApply, "no"))
			off.Store(0)
			s.cluster.set(func(c *fakeCluster) { clear(c.failing) })
			s.until("tries again", runs(third))

			lasts := time.Second
			if jump > 0 {
				lasts = time.Hour
			}
			s.order(orders.Order{Verb: orders.Pause, For: lasts})
			s.until("is paused", func(st reconciler.Status) bool { return len(st.Paused) == 1 })
			off.Store(int64(jump))
			fourth := s.commit(map[string]string{"README": "wakes the agent"})
			s.until("the pause is over", runs(fourth))
		})
	}
}

// lines is a log that can be searched while it is written.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lines) has(text string) func() bool {
	return func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		return strings.Contains(l.text.String(), text)
	}
}

// newStageOnDisk has the agent's data on a small disk of its own.
func newStageOnDisk(t *testing.T) (*stage, *lines) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root mounts disks")
	}
	s, log := newStage(t), &lines{}
	s.log = slog.New(slog.NewTextHandler(log, nil))
	disk := t.TempDir()
	require.NoError(t, unix.Mount("none", disk, "tmpfs", 0, "size=2m"))
	t.Cleanup(func() { s.end(); _ = unix.Unmount(disk, unix.MNT_DETACH) })
	copyIdentity(t, s.dir, disk)
	s.dir = disk
	return s, log
}

func TestAFullDisk(t *testing.T) {
	t.Parallel()
	s, log := newStageOnDisk(t)
	first := s.begin(map[string]string{"base": "|text"})
	s.start()
	s.until("runs", runs(first))
	ballast := filepath.Join(s.dir, "ballast")
	fill(t, ballast)

	second := s.commit(s.layers(map[string]string{"base": "|text more"}))
	s.cluster.set(func(c *fakeCluster) { delete(c.objects, "ConfigMap/text") })
	s.cluster.drift <- reconciler.Drift{Layer: "base"}
	require.Eventually(t, func() bool { return s.cluster.has("ConfigMap/text") }, time.Minute, 5*time.Millisecond, "drift is repaired all the same")
	require.Eventually(t, log.has("no space left on device"), time.Minute, 5*time.Millisecond, "the log says why")
	require.NoError(t, os.Remove(ballast))
	s.until("goes on once there is space", runs(second))
	require.True(t, s.cluster.has("ConfigMap/more"))
}

// fill leaves no byte of a disk free.
func fill(t *testing.T, path string) {
	t.Helper()
	f, err := os.Create(path)
	require.NoError(t, err)
	defer f.Close()
	for size := 1 << 16; size > 0; size /= 2 {
		for err = nil; err == nil; {
			_, err = f.Write(make([]byte, size))
		}
		require.ErrorIs(t, err, syscall.ENOSPC)
	}
}

func TestADiskThatCanOnlyBeRead(t *testing.T) {
	t.Parallel()
	s, log := newStageOnDisk(t)
	first := s.begin(map[string]string{"base": "|text"})
	s.start()
	s.until("runs", runs(first))
	require.NoError(t, unix.Mount(s.dir, s.dir, "", unix.MS_BIND, "")) // over the one on which files are open
	t.Cleanup(func() { _ = unix.Unmount(s.dir, unix.MNT_DETACH) })
	require.NoError(t, unix.Mount("", s.dir, "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY, ""))

	second := s.commit(s.layers(map[string]string{"base": "|text more"}))
	s.cluster.set(func(c *fakeCluster) { delete(c.objects, "ConfigMap/text") })
	s.cluster.drift <- reconciler.Drift{Layer: "base"}
	require.Eventually(t, func() bool { return s.cluster.has("ConfigMap/text") }, time.Minute, 5*time.Millisecond, "drift is repaired all the same")
	require.Eventually(t, log.has("read-only file system"), time.Minute, 5*time.Millisecond, "the log says why")
	require.False(t, s.cluster.has("ConfigMap/more"), "nothing is begun that cannot be noted")
	require.NoError(t, unix.Unmount(s.dir, 0))
	s.until("goes on once it can be written", runs(second))
	require.True(t, s.cluster.has("ConfigMap/more"))
}

// copyIdentity keeps the modes of its files, which os.CopyFS does not.
func copyIdentity(t *testing.T, from, to string) {
	t.Helper()
	out, err := exec.Command("cp", "-a", filepath.Join(from, "identity"), to).CombinedOutput()
	require.NoError(t, err, "%s", out)
}
