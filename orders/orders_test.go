package orders_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-fleet/holdfast/durable/durabletest"
	"github.com/holdfast-fleet/holdfast/orders"
)

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func TestOrdersLastUntilTheyAreTakenBack(t *testing.T) {
	t.Parallel()
	f := orders.In(t.TempDir())
	list, err := f.List()
	require.NoError(t, err)
	require.Empty(t, list, "the folder need not exist")

	all := orders.Order{Verb: orders.Pause, At: noon, For: 2 * time.Hour, Reason: "moving the rack"}
	one := orders.Order{Verb: orders.Pause, Layer: "shop", At: noon, For: time.Hour}
	retry := orders.Order{Verb: orders.Retry, Layer: "shop", At: noon}
	for _, o := range []orders.Order{all, one, retry, {Verb: orders.Sync, At: noon}} {
		require.NoError(t, f.Give(o))
	}
	list, err = f.List()
	require.NoError(t, err)
	require.Equal(t, []orders.Order{all, one, retry, {Verb: orders.Sync, At: noon}}, list)
	require.Equal(t, noon.Add(2*time.Hour), all.Until())

	all.For = 3 * time.Hour
	require.NoError(t, f.Give(all))
	list, err = f.List()
	require.NoError(t, err)
	require.Equal(t, all, list[0], "the newer one counts")

	was, err := f.Remove(orders.Pause, "")
	require.NoError(t, err)
	require.True(t, was)
	was, err = f.Remove(orders.Pause, "")
	require.NoError(t, err)
	require.False(t, was)
	list, err = f.List()
	require.NoError(t, err)
	require.Len(t, list, 3)
}

func TestAPauseIsOverByTheClockOrByItsLength(t *testing.T) {
	t.Parallel()
	o := orders.Order{Verb: orders.Pause, At: noon, For: time.Hour}
	require.False(t, o.Over(noon, 0))
	require.False(t, o.Over(noon.Add(time.Hour-1), time.Minute))
	require.True(t, o.Over(noon.Add(time.Hour), time.Minute))
	require.False(t, o.Over(noon.AddDate(-10, 0, 0), time.Minute))
	require.True(t, o.Over(noon.AddDate(-10, 0, 0), time.Hour), "a clock set back does not make it longer")
}

func TestWhatIsNoOrderIsSaid(t *testing.T) {
	t.Parallel()
	f := orders.In(t.TempDir())
	for _, o := range []orders.Order{
		{Verb: "reboot"}, {Verb: orders.Pause}, {Verb: orders.Pause, For: -1}, {Verb: orders.Pause, For: 400 * 24 * time.Hour},
		{Verb: orders.Sync, Layer: "shop"}, {Verb: orders.Retry, Layer: "../shop"}, {Verb: orders.Retry, Reason: strings.Repeat("x", 300)},
	} {
		require.Error(t, f.Give(o), "%+v", o)
	}
	require.NoError(t, f.Give(orders.Order{Verb: orders.Sync, At: noon}))
	for name, text := range map[string]string{"pause": "{", "pause.": "{}", "retry.UP": "{}", "other": "{}", "pause.shop": `{"for":0}`, ".hidden": ""} {
		require.NoError(t, os.WriteFile(filepath.Join(f.Path, name), []byte(text), 0o600))
	}
	list, err := f.List()
	require.Len(t, list, 1, "a good one counts all the same")
	require.ErrorContains(t, err, "pause.shop: a pause lasts")
	require.Len(t, strings.Split(err.Error(), "\n"), 5)
}

func TestAnOrderIsWholeAfterAPowerCut(t *testing.T) {
	t.Parallel()
	root, base := t.TempDir(), t.TempDir()
	noted := durabletest.NewJournal(root)
	f := orders.Folder{Path: filepath.Join(root, "orders"), Disk: noted.Disk()}
	pause := orders.Order{Verb: orders.Pause, At: noon, For: time.Hour}
	require.NoError(t, f.Give(pause))
	given := noted.Len()
	_, err := f.Remove(orders.Pause, "")
	require.NoError(t, err)
	for n := 0; n <= noted.Len(); n++ {
		for _, loss := range []durabletest.Loss{durabletest.Names, durabletest.Data, durabletest.Half} {
			dir := filepath.Join(t.TempDir(), "cut")
			require.NoError(t, noted.Cut(base, dir, n, loss))
			list, err := orders.In(dir).List()
			require.NoError(t, err, "cut after %s, losing %s", noted.Change(n-1), loss)
			switch {
			case n == given:
				require.Equal(t, []orders.Order{pause}, list, "what was given is there")
			case n == noted.Len():
				require.Empty(t, list, "what was taken back is gone")
			default:
				require.LessOrEqual(t, len(list), 1)
			}
		}
	}
}

func TestTheFolderIsWatched(t *testing.T) {
	t.Parallel()
	f := orders.In(t.TempDir())
	ctx, cancel := context.WithCancel(t.Context())
	changed, err := f.Watch(ctx)
	require.NoError(t, err)
	require.NoError(t, f.Give(orders.Order{Verb: orders.Sync, At: noon}))
	select {
	case <-changed:
	case <-time.After(time.Minute):
		t.Fatal("no signal")
	}
	cancel()
	require.Eventually(t, func() bool { _, open := <-changed; return !open }, time.Minute, time.Millisecond)
}

// TestTheFolderIsLookedAtWhereInotifyIsUsedUp runs itself again as a user who may
// have no instance of inotify, see user_namespaces(7) and /proc/sys/user.
func TestTheFolderIsLookedAtWhereInotifyIsUsedUp(t *testing.T) {
	t.Parallel()
	const limit = "/proc/sys/user/max_inotify_instances"
	if os.Getenv("ORDERS_WITHOUT_INOTIFY") == "" {
		again := exec.Command("/proc/self/exe", "-test.run=^"+t.Name()+"$", "-test.v")
		again.Env = append(os.Environ(), "ORDERS_WITHOUT_INOTIFY=1", "TMPDIR="+t.TempDir())
		again.SysProcAttr = &syscall.SysProcAttr{
			Cloneflags:  syscall.CLONE_NEWUSER,
			UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
			GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
		}
		said, err := again.CombinedOutput()
		require.NoError(t, err, "%s", said)
		require.Contains(t, string(said), "--- PASS")
		return
	}
	require.NoError(t, os.WriteFile(limit, []byte("0"), 0o600))
	f := orders.In(t.TempDir())
	changed, err := f.Watch(t.Context())
	require.NoError(t, err)
	require.NoError(t, f.Give(orders.Order{Verb: orders.Sync, At: noon}))
	select {
	case <-changed:
	case <-time.After(time.Minute):
		t.Fatal("no signal")
	}
}

func FuzzList(f *testing.F) {
	f.Fuzz(func(t *testing.T, name string, data []byte) {
		dir := orders.In(t.TempDir())
		if name == "" || name != filepath.Base(name) || strings.HasPrefix(name, ".") || len(name) > 200 || strings.ContainsRune(name, 0) {
			return
		}
		require.NoError(t, os.MkdirAll(dir.Path, 0o700))
		require.NoError(t, os.WriteFile(filepath.Join(dir.Path, name), data, 0o600))
		list, err := dir.List()
		require.NotEqual(t, err == nil, len(list) == 0)
		for _, o := range list {
			require.NoError(t, dir.Give(o), "what is read can be written")
		}
	})
}

func TestCorpusIsNotEmpty(t *testing.T) {
	t.Parallel()
	seeds, err := os.ReadDir("testdata/fuzz/FuzzList")
	require.NoError(t, err)
	require.NotEmpty(t, seeds)
}
