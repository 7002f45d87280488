package journal_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-fleet/holdfast/durable"
	"github.com/holdfast-fleet/holdfast/durable/durabletest"
	"github.com/holdfast-fleet/holdfast/journal"
)

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func begin(t *testing.T, j *journal.Journal, verb, what string) journal.Step {
	t.Helper()
	s, err := j.Begin(journal.Step{Verb: verb, What: what, Begun: noon})
	require.NoError(t, err)
	return s
}

func words(steps []journal.Step) []string {
	out := []string{}
	for _, s := range steps {
		out = append(out, strings.TrimSpace(s.Verb+" "+s.What+" "+s.Outcome))
	}
	return out
}

func reopen(t *testing.T, path string) *journal.Journal {
	t.Helper()
	j, err := journal.Open(durable.Disk{}, path)
	require.NoError(t, err)
	t.Cleanup(func() { _ = j.Close() })
	return j
}

func TestWhatWasUnderWayIsKnownAfterARestart(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "journal")
	j := reopen(t, path)
	require.Empty(t, j.Steps(), "a journal need not exist")
	change := begin(t, j, "change", "abc")
	base := begin(t, j, "apply", "base")
	begin(t, j, "apply", "shop")
	require.NoError(t, j.End(base, noon.Add(time.Second), "done"))

	j = reopen(t, path)
	require.Equal(t, []string{"change abc", "apply base done", "apply shop"}, words(j.Steps()))
	require.Equal(t, []string{"change abc", "apply shop"}, words(j.Open()))
	require.NoError(t, j.End(change, noon, "superseded"))
	require.Equal(t, uint64(4), begin(t, j, "prune", "1 object").ID, "a number is used once")
	require.Equal(t, []string{"apply shop", "prune 1 object"}, words(reopen(t, path).Open()))
}

func TestATornOrDamagedLineIsPassedOver(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "journal")
	j := reopen(t, path)
	begin(t, j, "apply", "one")
	begin(t, j, "apply", "two")
	begin(t, j, "apply", "three")
	whole, err := os.ReadFile(path)
	require.NoError(t, err)
	for n := range whole {
		require.NoError(t, os.WriteFile(path, whole[:n], 0o600))
		j := reopen(t, path)
		require.Equal(t, []string{"apply one", "apply two", "apply three"}[:strings.Count(string(whole[:n]), "\n")], words(j.Steps()))
		begin(t, j, "apply", "next")
		require.Contains(t, words(reopen(t, path).Steps()), "apply next", "what follows a torn line is not lost with it")
	}
	for n := range whole {
		bad := []byte(string(whole))
		bad[n] ^= 0x10
		require.NoError(t, os.WriteFile(path, bad, 0o600))
		require.GreaterOrEqual(t, len(reopen(t, path).Steps()), 1, "damage to one line, or to the end of it, costs no more than two")
	}
}

func TestTheFileStaysSmallAndWhatIsUnderWayStaysInIt(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "journal")
	j := reopen(t, path)
	begin(t, j, "change", "abc")
	for n := range 800 {
		s := begin(t, j, "apply", fmt.Sprint("layer-", n))
		require.NoError(t, j.End(s, noon, strings.Repeat("why ", 1000)))
	}
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.LessOrEqual(t, info.Size(), int64(512<<10))
	j = reopen(t, path)
	require.Equal(t, []string{"change abc"}, words(j.Open()))
	steps := j.Steps()
	require.Equal(t, "layer-799", steps[len(steps)-1].What)
}

func TestAStepIsOnDiskBeforeItIsTaken(t *testing.T) {
	t.Parallel()
	root, base := t.TempDir(), t.TempDir()
	noted := durabletest.NewJournal(root)
	j, err := journal.Open(noted.Disk(), filepath.Join(root, "journal"))
	require.NoError(t, err)
	taken := []int{} // changes of the disk when a step could be taken
	for n := range 420 {
		s := begin(t, j, "apply", fmt.Sprint(n))
		taken = append(taken, noted.Len())
		require.NoError(t, j.End(s, noon, strings.Repeat("x", 400)))
	}
	require.NoError(t, j.Close())
	cuts := 0
	for n := 0; n <= noted.Len(); n += 1 + n/12 {
		for _, loss := range []durabletest.Loss{durabletest.Names, durabletest.Data, durabletest.Half} {
			dir := filepath.Join(t.TempDir(), "cut")
			require.NoError(t, noted.Cut(base, dir, n, loss))
			after, err := journal.Open(durable.Disk{}, filepath.Join(dir, "journal"))
			require.NoError(t, err)
			known := words(after.Steps())
			for i := len(taken) - 1; i >= 0; i-- {
				if taken[i] <= n {
					require.Contains(t, strings.Join(known, "\n"), fmt.Sprintf("apply %d", i), "cut after %q, losing %s", noted.Change(n-1), loss)
					break
				}
			}
			cuts++
		}
	}
	require.Greater(t, cuts, 100)
}

func TestThoseWhoBeginAtOnceShareASync(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	syncs := 0
	gate := make(chan struct{})
	disk := durable.Disk{Before: func(c durable.Change) error {
		if c.Op == durable.Sync {
			mu.Lock()
			syncs++
			first := syncs == 1
			mu.Unlock()
			if first {
				<-gate
			}
		}
		return nil
	}}
	path := filepath.Join(t.TempDir(), "journal")
	j, err := journal.Open(disk, path)
	require.NoError(t, err)
	var all sync.WaitGroup
	for n := range 20 {
		all.Go(func() {
			_, err := j.Begin(journal.Step{Verb: "apply", What: fmt.Sprint(n), Begun: noon})
			require.NoError(t, err)
		})
	}
	require.Eventually(t, func() bool { return len(j.Steps()) == 20 }, 10*time.Second, time.Millisecond)
	close(gate)
	all.Wait()
	require.LessOrEqual(t, syncs, 3)
	require.Len(t, reopen(t, path).Open(), 20)
}

func TestADiskThatIsFullRefusesTheStep(t *testing.T) {
	t.Parallel()
	full := false
	path := filepath.Join(t.TempDir(), "journal")
	j, err := journal.Open(durable.Disk{Before: func(durable.Change) error {
		if full {
			return syscall.ENOSPC
		}
		return nil
	}}, path)
	require.NoError(t, err)
	begin(t, j, "apply", "one")
	full = true
	_, err = j.Begin(journal.Step{Verb: "apply", What: "two"})
	require.ErrorIs(t, err, syscall.ENOSPC)
	full = false
	begin(t, j, "apply", "three")
	require.Equal(t, []string{"apply one", "apply three"}, words(reopen(t, path).Steps()))

	_, err = journal.Open(durable.Disk{}, t.TempDir())
	require.Error(t, err, "a folder is no journal")
	require.False(t, errors.Is(err, os.ErrNotExist))
}

func FuzzOpen(f *testing.F) {
	f.Fuzz(func(t *testing.T, data []byte) {
		path := filepath.Join(t.TempDir(), "journal")
		require.NoError(t, os.WriteFile(path, data, 0o600))
		j, err := journal.Open(durable.Disk{}, path)
		require.NoError(t, err)
		begin(t, j, "apply", "next")
		require.Contains(t, words(reopen(t, path).Open()), "apply next")
	})
}

func TestCorpusIsNotEmpty(t *testing.T) {
	t.Parallel()
	seeds, err := os.ReadDir("testdata/fuzz/FuzzOpen")
	require.NoError(t, err)
	require.NotEmpty(t, seeds)
}
