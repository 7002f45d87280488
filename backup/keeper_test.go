package backup

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-fleet/holdfast/durable"
	"github.com/holdfast-fleet/holdfast/durable/durabletest"
	"github.com/holdfast-fleet/holdfast/fleet"
	"github.com/holdfast-fleet/holdfast/secrets"
)

// site is one that is backed up by a host with a clock of the test's.
type site struct {
	t        *testing.T
	dataDir  string
	keeper   *Keeper
	job      Job
	recovery secrets.Identity
	clock    time.Time
	data     string // of the cluster
}

func newSite(t *testing.T, to ...fleet.Target) *site {
	t.Helper()
	s := &site{t: t, dataDir: t.TempDir(), clock: time.Date(2026, 11, 26, 3, 30, 0, 0, time.UTC), data: "first"}
	recovery, public := newKey(t)
	s.recovery = recovery
	s.keeper = &Keeper{Dir: Dir(s.dataDir), Now: func() time.Time { return s.clock }}
	s.job = Job{
		Manifest: Manifest{Site: "store-042", Host: "store-042-a", Revision: strings.Repeat("1f0c9a6d", 5), Type: "kubeadm", Version: "v1.36.3"},
		Plan:     fleet.Backup{Every: time.Hour, Keep: 3, Recipients: []string{public}, To: to},
		Copy: func(_ context.Context, into string) error {
			return errors.Join(os.Mkdir(filepath.Join(into, "pki"), 0o700), os.WriteFile(filepath.Join(into, "etcd.db"), []byte(s.data), 0o600),
				os.WriteFile(filepath.Join(into, "pki/ca.key"), []byte("a key"), 0o600))
		},
	}
	return s
}

// numbers are those of the backups that a store has, with what they hold.
func (s *site) numbers(store Store) map[int]string {
	s.t.Helper()
	all, err := List(s.t.Context(), store, s.job.Site)
	require.NoError(s.t, err)
	list := map[int]string{}
	for _, b := range all {
		require.NoError(s.t, Check(s.t.Context(), store, b.String(), s.recovery))
		list[b.Number] = s.opened(store, b)
	}
	return list
}

func (s *site) opened(store Store, b Stored) string {
	s.t.Helper()
	path := filepath.Join(s.t.TempDir(), b.String())
	out, err := os.Create(path)
	require.NoError(s.t, err)
	defer out.Close()
	require.NoError(s.t, store.Get(s.t.Context(), b.String(), out))
	_, err = out.Seek(0, 0)
	require.NoError(s.t, err)
	dir := filepath.Join(s.t.TempDir(), "out")
	m, err := Unpack(durable.Disk{}, out, dir, s.recovery)
	require.NoError(s.t, err)
	require.Equal(s.t, "store-042-a", m.Host)
	data, err := os.ReadFile(filepath.Join(dir, "etcd.db"))
	require.NoError(s.t, err)
	return string(data)
}

// left are files that no attempt may leave.
func (s *site) left() []string {
	list, err := filepath.Glob(filepath.Join(s.keeper.Dir, "*"+partial))
	require.NoError(s.t, err)
	if _, err := os.Stat(filepath.Join(s.keeper.Dir, ".copy")); err == nil {
		list = append(list, ".copy")
	}
	return list
}

// TestBackupsAreTakenSentAndKept on the host and in all targets, as many as the fleet says.
func TestBackupsAreTakenSentAndKept(t *testing.T) {
	t.Parallel()
	for kind, open := range vaults() {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			v := open(t)
			s := newSite(t, v.Target)
			s.keeper.Opener, s.job.Files = v.Opener, v.Opener.Files
			var state State
			for i := range 5 {
				s.data = fmt.Sprintf("data %d", i+1)
				var err error
				state, err = s.keeper.Take(t.Context(), s.job)
				require.NoError(t, err)
				s.clock = s.clock.Add(time.Hour)
			}
			want := map[int]string{3: "data 3", 4: "data 4", 5: "data 5"}
			require.Equal(t, want, s.numbers(s.keeper.Local()))
			store, err := v.Open(t.Context(), v.Target)
			require.NoError(t, err)
			defer store.Close()
			require.Equal(t, want, s.numbers(store))
			require.Nil(t, state.Failed)
			require.Equal(t, []Sent{{To: v.Name(), File: state.Last.File, At: state.Last.At, Count: 3}}, state.Sent)
			read, err := ReadState(s.dataDir)
			require.NoError(t, err)
			require.Equal(t, state, read)
			info, err := os.Stat(filepath.Join(s.keeper.Dir, state.Last.File))
			require.NoError(t, err)
			require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
			require.Equal(t, state.Last.Size, info.Size())
			require.Empty(t, s.left())

			another := newSite(t, v.Target) // new hardware, whose backups come after those of the old
			another.keeper.Opener, another.job.Files, another.job.Plan.Recipients = v.Opener, v.Opener.Files, s.job.Plan.Recipients
			_, err = another.keeper.Take(t.Context(), another.job)
			require.NoError(t, err)
			require.Equal(t, map[int]string{4: "data 4", 5: "data 5", 6: "first"}, s.numbers(store))
		})
	}
}

// TestAClockThatJumps makes nobody lose the last good backup.
func TestAClockThatJumps(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for i, year := range []int{2026, 2040, 1970, 2026, 2039} {
		s.clock, s.data = time.Date(year, 1, 1, 0, 0, i, 0, time.UTC), fmt.Sprintf("data %d", i+1)
		require.False(t, s.job.Plan.Next(mustRead(t, s).takenAt(), s.clock).After(s.clock), "one is due")
		_, err := s.keeper.round(t.Context(), s.job)
		require.NoError(t, err)
	}
	require.Equal(t, map[int]string{3: "data 3", 4: "data 4", 5: "data 5"}, s.numbers(s.keeper.Local()))
	_, err := s.keeper.round(t.Context(), s.job)
	require.NoError(t, err)
	require.Len(t, s.numbers(s.keeper.Local()), 3, "and none is before its time")
}

func mustRead(t *testing.T, s *site) State {
	t.Helper()
	state, err := ReadState(s.dataDir)
	require.NoError(t, err)
	return state
}

// TestWhatFailsDeletesNothing and is said until it succeeds.
func TestWhatFailsDeletesNothing(t *testing.T) {
	t.Parallel()
	share := filepath.Join(t.TempDir(), "share")
	s := newSite(t, fleet.Target{Folder: share})
	state, err := s.keeper.round(t.Context(), s.job)
	require.ErrorContains(t, err, "open "+share+": it is not a folder that is there")
	require.Nil(t, state.Failed, "it is taken, but not sent")
	require.Equal(t, "mount the share, and make the folder in it", state.Sent[0].Failed.Hint)
	since := state.Sent[0].Failed.At

	copied := s.job.Copy
	s.clock = s.clock.Add(time.Hour)
	s.job.Copy = func(context.Context, string) error { return errors.New("etcd does not answer") }
	state, err = s.keeper.round(t.Context(), s.job)
	require.ErrorContains(t, err, "take a backup: etcd does not answer")
	require.Equal(t, "take a backup: etcd does not answer", state.Failed.Message)
	require.Equal(t, since, state.Sent[0].Failed.At, "since when it has failed")
	require.NotNil(t, state.Last)
	require.Equal(t, map[int]string{1: "first"}, s.numbers(s.keeper.Local()))
	require.Equal(t, firstWait, pauseAfter(1, state, s.clock))
	require.Equal(t, lastWait, pauseAfter(99, state, s.clock))

	require.NoError(t, os.Mkdir(share, 0o700))
	s.job.Copy = copied
	s.data = "second"
	state, err = s.keeper.round(t.Context(), s.job)
	require.NoError(t, err)
	require.Nil(t, state.Failed)
	require.Nil(t, state.Sent[0].Failed)
	require.Equal(t, map[int]string{1: "first", 2: "second"}, s.numbers(&folder{dir: share}), "what could not be sent before is there, too")
}

// TestOnlyTheSendingIsTriedAgain where a target was away.
func TestOnlyTheSendingIsTriedAgain(t *testing.T) {
	t.Parallel()
	share := filepath.Join(t.TempDir(), "share")
	s := newSite(t, fleet.Target{Folder: share})
	state, err := s.keeper.round(t.Context(), s.job)
	require.Error(t, err)
	require.Equal(t, firstWait, pauseAfter(1, state, s.clock))
	require.Equal(t, 10*time.Minute, pauseAfter(99, state, s.clock.Add(50*time.Minute)), "the next backup is not late for it")
	require.NoError(t, os.Mkdir(share, 0o700))
	_, err = s.keeper.round(t.Context(), s.job)
	require.NoError(t, err)
	require.Equal(t, map[int]string{1: "first"}, s.numbers(s.keeper.Local()))
	require.Equal(t, map[int]string{1: "first"}, s.numbers(&folder{dir: share}))
}

// TestATargetThatOthersFilled is not sent what it would not keep.
func TestATargetThatOthersFilled(t *testing.T) {
	t.Parallel()
	stored := func(numbers ...int) (list []Stored) {
		for _, n := range numbers {
			list = append(list, Stored{testName(n), 9})
		}
		return list
	}
	require.Equal(t, stored(8, 6), missing("store-042", stored(1, 6, 8), stored(5, 7), 3))
	require.Empty(t, missing("store-042", stored(1, 2), stored(5, 7, 9), 3))
	cut := []Stored{{testName(2), 1}}
	require.Equal(t, stored(2), missing("store-042", stored(1, 2), append(stored(1), cut...), 3), "of which there is a part only")
	require.Equal(t, stored(1, 2), surplus("store-042", stored(1, 2, 3, 4), 2, testName(4)))
	require.Empty(t, surplus("store-042", stored(1), 0, testName(1)), "the last one is never surplus")
	require.Empty(t, surplus("another", stored(1, 2, 3), 1, testName(3)), "what is another site's")
}

// TestBackupsOfWhatWasRestoredAreNewer than what it was made of, though no target answers.
func TestBackupsOfWhatWasRestoredAreNewer(t *testing.T) {
	t.Parallel()
	lost, found := newSite(t), newSite(t)
	for range 3 {
		_, err := lost.keeper.Take(t.Context(), lost.job)
		require.NoError(t, err)
		lost.clock = lost.clock.Add(time.Hour)
	}
	state, err := ReadState(lost.dataDir)
	require.NoError(t, err)
	file, err := os.Open(filepath.Join(lost.keeper.Dir, state.Last.File))
	require.NoError(t, err)
	defer file.Close()
	_, err = Order(durable.Disk{}, found.dataDir, file, lost.recovery)
	require.NoError(t, err)
	require.NoError(t, Restored(durable.Disk{}, found.dataDir))
	ordered, err := IsOrdered(found.dataDir)
	require.NoError(t, err)
	require.False(t, ordered)
	_, err = found.keeper.Take(t.Context(), found.job)
	require.NoError(t, err)
	require.Equal(t, map[int]string{4: "first"}, found.numbers(found.keeper.Local()))
}

// TestSomebodyTookTheHighestNumber: no backup gets a name that nobody could read.
func TestSomebodyTookTheHighestNumber(t *testing.T) {
	t.Parallel()
	share := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(share, testName(maxNumber).String()), nil, 0o600))
	s := newSite(t, fleet.Target{Folder: share})
	_, err := s.keeper.Take(t.Context(), s.job)
	require.ErrorContains(t, err, "a backup of store-042 has the number 999999999")
	var hinted interface{ Hint() string }
	require.ErrorAs(t, err, &hinted)
	require.Empty(t, s.numbers(s.keeper.Local()))
	require.Empty(t, s.left())
}

// TestADiskThatIsFull fails each change once, and leaves what was there.
func TestADiskThatIsFull(t *testing.T) {
	t.Parallel()
	for n := 0; ; n++ {
		s := newSite(t)
		_, err := s.keeper.Take(t.Context(), s.job)
		require.NoError(t, err)
		s.data = "second"
		changes := 0
		s.keeper.Disk = durable.Disk{Before: func(c durable.Change) error {
			if changes++; changes == n+1 && c.Op != durable.Remove {
				return &os.PathError{Op: string(c.Op), Path: c.Path, Err: syscall.ENOSPC}
			}
			return nil
		}}
		_, err = s.keeper.Take(t.Context(), s.job)
		s.keeper.Disk = durable.Disk{}
		if changes <= n {
			require.NoError(t, err)
			require.Greater(t, n, 5)
			break
		}
		if err != nil {
			require.ErrorIs(t, err, syscall.ENOSPC)
		}
		require.Equal(t, "first", s.numbers(s.keeper.Local())[1])
		_, err = s.keeper.Take(t.Context(), s.job)
		require.NoError(t, err, "change %d", n)
		require.Empty(t, s.left())
	}
}

// TestAPowerCutAtEachChange leaves whole backups, and one can be taken again.
func TestAPowerCutAtEachChange(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	_, err := s.keeper.Take(t.Context(), s.job)
	require.NoError(t, err)
	base := filepath.Join(t.TempDir(), "base")
	require.NoError(t, os.CopyFS(base, os.DirFS(s.dataDir)))
	noted := durabletest.NewJournal(s.dataDir)
	s.keeper.Disk = noted.Disk()
	s.data, s.job.Plan.Keep = "second", 1
	_, err = s.keeper.Take(t.Context(), s.job)
	require.NoError(t, err)
	require.Greater(t, noted.Len(), 5)
	for n := range noted.Len() + 1 {
		for _, loss := range []durabletest.Loss{durabletest.Names, durabletest.Data, durabletest.Half} {
			after := newSite(t)
			after.recovery, after.job.Plan.Recipients = s.recovery, s.job.Plan.Recipients
			require.NoError(t, noted.Cut(base, after.dataDir, n, loss))
			what := fmt.Sprintf("%s before %s", loss, noted.Change(n))
			found := after.numbers(after.keeper.Local())
			require.NotEmpty(t, found, what)
			for _, data := range found {
				require.Contains(t, []string{"first", "second"}, data, what)
			}
			_, err := after.keeper.Take(t.Context(), after.job)
			require.NoError(t, err, what)
			require.Empty(t, after.left(), what)
		}
	}
}

// TestOneAtATime refuses a second while one is taken.
func TestOneAtATime(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	copied := s.job.Copy
	s.job.Copy = func(ctx context.Context, into string) error {
		second := *s.keeper
		_, err := second.Take(ctx, s.job)
		require.ErrorContains(t, err, "another backup is being taken on this host just now")
		return copied(ctx, into)
	}
	_, err := s.keeper.Take(t.Context(), s.job)
	require.NoError(t, err)
}

// TestTheAgentTakesThemByItself for as long as it is the host's duty.
func TestTheAgentTakesThemByItself(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	taken := make(chan struct{}, 9)
	copied := s.job.Copy
	s.job.Copy = func(ctx context.Context, into string) error {
		taken <- struct{}{}
		return copied(ctx, into)
	}
	ctx, cancel := context.WithCancel(t.Context())
	duty, over := NewDuty(), make(chan struct{})
	go func() { defer close(over); s.keeper.Run(ctx, duty) }()
	duty.Set(&s.job)
	<-taken
	job := s.job
	duty.Set(&job)
	require.Eventually(t, func() bool { return len(s.numbers(s.keeper.Local())) == 1 }, time.Minute, 10*time.Millisecond)
	duty.Set(nil)
	cancel()
	<-over
	require.Empty(t, taken, "once is enough")
}
