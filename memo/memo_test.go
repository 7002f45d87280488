package memo

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func open(t *testing.T, dir, version string) *Store {
	t.Helper()
	s, err := Open(dir, version, 1<<30)
	require.NoError(t, err)
	return s
}

func put(t *testing.T, dir string, values ...string) {
	t.Helper()
	s := open(t, dir, "1")
	for _, v := range values {
		s.Put(v, []byte("value of "+v))
	}
	require.NoError(t, s.Close())
}

func has(t *testing.T, dir, version, name string) bool {
	t.Helper()
	s := open(t, dir, version)
	defer s.Close()
	value, ok := s.Get(name)
	if ok {
		require.Equal(t, "value of "+name, string(value))
	}
	return ok
}

func segments(t *testing.T, dir string) []string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*"+segmentSuffix))
	require.NoError(t, err)
	return names
}

func TestAnotherRunSeesWhatOneKept(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "cache")
	put(t, dir, "a", "b")
	put(t, dir, "c")
	for _, name := range []string{"a", "b", "c"} {
		require.True(t, has(t, dir, "1", name))
	}
	require.False(t, has(t, dir, "1", "d"))
	require.False(t, has(t, dir, "2", "a"), "another version computes anew")
}

func TestNothingKeepsNothing(t *testing.T) {
	t.Parallel()
	var s *Store
	s.Put("a", nil)
	_, ok := s.Get("a")
	require.False(t, ok)
	require.NoError(t, s.Close())
}

func TestDamageIsAMiss(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	put(t, dir, "a")
	whole, err := os.ReadFile(segments(t, dir)[0])
	require.NoError(t, err)
	for at := range whole {
		torn := append([]byte{}, whole...)
		torn[at] ^= 1
		require.NoError(t, os.WriteFile(segments(t, dir)[0], torn, 0o600))
		require.False(t, has(t, dir, "1", "a"), "byte %d", at)
		require.NoError(t, os.WriteFile(segments(t, dir)[0], whole[:at], 0o600))
		require.False(t, has(t, dir, "1", "a"), "cut at byte %d", at)
	}
	require.NoError(t, os.WriteFile(filepath.Join(dir, "x"+segmentSuffix), []byte("foreign"), 0o600))
	put(t, dir, "a")
	require.True(t, has(t, dir, "1", "a"))
}

func TestSegmentsAreMerged(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var names []string
	for i := range 5 * maxSegments {
		names = append(names, fmt.Sprint(i))
		put(t, dir, names[i])
		require.LessOrEqual(t, len(segments(t, dir)), maxSegments)
	}
	for _, name := range names {
		require.True(t, has(t, dir, "1", name))
	}
}

func TestTornSegmentsOfEndedRunsAreRemoved(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	old, young := filepath.Join(dir, tempPrefix+"old"), filepath.Join(dir, tempPrefix+"young")
	for _, path := range []string{old, young} {
		require.NoError(t, os.WriteFile(path, nil, 0o600))
	}
	then := time.Now().Add(-2 * time.Hour)
	require.NoError(t, os.Chtimes(old, then, then))
	put(t, dir, "a")
	require.NoFileExists(t, old)
	require.FileExists(t, young)
}

func TestRunsShareAFolder(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			s, err := Open(dir, "1", 1<<30)
			if err != nil {
				t.Error(err)
				return
			}
			for n := range 50 {
				name := fmt.Sprint(n)
				if value, ok := s.Get(name); ok && string(value) != name {
					t.Errorf("%s: %s", name, value)
				}
				if n%20 == i {
					s.Put(name, []byte(name))
				}
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

func TestMuchIsWrittenAsItComes(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir, "1")
	big := strings.Repeat("x", maxValue)
	for i := range maxAdded/maxValue + 1 {
		s.Put(fmt.Sprint(i), []byte(big))
	}
	require.Len(t, segments(t, dir), 1)
	s.Put("too big", []byte(big+"x"))
	_, ok := s.Get("too big")
	require.False(t, ok)
	value, ok := s.Get("0")
	require.True(t, ok)
	require.Equal(t, big, string(value))
	require.NoError(t, s.Close())
}

func TestDigestsOfATree(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name, text string) {
		require.NoError(t, os.MkdirAll(filepath.Join(dir, filepath.Dir(name)), 0o700))
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	digest := func(name string) string {
		d, err := Dir(dir).Digest(name)
		require.NoError(t, err)
		return d
	}
	write("a/b/c", "one")
	write("a/d", "two")
	before, other := digest("a"), digest("a/d")
	write("a/.git/HEAD", "not a part of it")
	require.Equal(t, before, digest("a"))
	write("a/b/c", "two")
	require.NotEqual(t, before, digest("a"))
	require.Equal(t, other, digest("a/d"))
	require.Equal(t, digest("a/d"), digest("a/b/c"))
	write("a/b/c", "one")
	require.Equal(t, before, digest("a"))
	require.NoError(t, os.Remove(filepath.Join(dir, "a/d")))
	require.NoError(t, os.Symlink("b/c", filepath.Join(dir, "a/d")))
	require.NotEqual(t, before, digest("a"), "a link is no file")
	_, err := Dir(dir).Digest("missing")
	require.ErrorIs(t, err, os.ErrNotExist)
}

func TestAStoreKeepsToItsLimit(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	value := make([]byte, 1000)
	for i := range 20 {
		s, err := Open(dir, "1", 5000)
		require.NoError(t, err)
		s.Put(fmt.Sprint(i), value)
		require.NoError(t, s.Close())
		var total int64
		for _, name := range segments(t, dir) {
			info, err := os.Stat(name)
			require.NoError(t, err)
			total += info.Size()
		}
		require.Less(t, total, int64(6000))
	}
	s := open(t, dir, "1")
	defer s.Close()
	_, newest := s.Get("19")
	require.True(t, newest)
	_, oldest := s.Get("0")
	require.False(t, oldest)
}

func TestWhatIsFlushedIsSeenByOthersAtOnce(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir, "1")
	defer s.Close()
	for i := range 3 * maxSegments {
		name := fmt.Sprint(i)
		s.Put(name, []byte("value of "+name))
		require.NoError(t, s.Flush())
		require.True(t, has(t, dir, "1", name))
	}
	require.LessOrEqual(t, len(segments(t, dir)), maxSegments)
	_, ok := s.Get("0")
	require.True(t, ok)
}

// A digest and what is read afterwards are of one moment.
func TestATreeKeepsWhatItHasDigestsOf(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	big := strings.Repeat("x", maxKeptOne+1)
	for name, text := range map[string]string{"a/one": "1", "a/big": big, "b/two": "2"} {
		require.NoError(t, os.MkdirAll(filepath.Join(dir, filepath.Dir(name)), 0o700))
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	tree := Dir(dir)
	_, err := tree.Digest("a")
	require.NoError(t, err)
	for _, name := range []string{"a/one", "a/big", "b/two"} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte("later"), 0o600))
	}
	for name, want := range map[string]string{"a/one": "1", "a/big": "later", "b/two": "later"} {
		data, err := tree.ReadFile(name)
		require.NoError(t, err)
		require.Equal(t, want, string(data), name)
		info, err := tree.Stat(name)
		require.NoError(t, err)
		require.Equal(t, int64(len(want)), info.Size())
		require.True(t, info.Mode().IsRegular())
	}
	data, err := tree.ReadFile("a/one")
	require.NoError(t, err)
	data[0] = '?' // is the reader's
	file, err := tree.Open("a/one")
	require.NoError(t, err)
	data, err = io.ReadAll(file)
	require.NoError(t, err)
	require.Equal(t, "1", string(data))
}
