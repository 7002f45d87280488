package content

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// crashEnv makes the test binary a writer that dies: "step number, store, file".
const crashEnv = "HOLDFAST_TEST_CRASH"

// TestCrashingWriter is the other process of TestKilledWriterLeavesTheOldStore.
func TestCrashingWriter(t *testing.T) {
	spec, ok := os.LookupEnv(crashEnv)
	if !ok {
		return // there is nothing to test in this process
	}
	parts := strings.SplitN(spec, ",", 3)
	last, err := strconv.Atoi(parts[0])
	require.NoError(t, err)
	s := &Store{dir: parts[1], before: func(step string) error {
		if last--; last == 0 {
			fmt.Println("dies before", step)
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {} // the signal is on its way
		}
		return nil
	}}
	require.NoError(t, s.open())
	_, err = s.AddFiles("holdfast.dev/app:v1", []string{parts[2]})
	require.NoError(t, err)
}

func TestKilledWriterLeavesTheOldStore(t *testing.T) {
	t.Parallel()
	for fresh, steps := range map[bool][]string{
		true:  {"index", "layout"},
		false: nil,
	} {
		blob := []string{"create", "write", "sync", "rename", "sync names"}
		for range 3 { // a file, its configuration, its manifest
			steps = append(steps, blob...)
		}
		steps = append(steps, "index")
		for i, step := range steps {
			t.Run(fmt.Sprintf("fresh %t step %d %s", fresh, i+1, step), func(t *testing.T) {
				t.Parallel()
				killAndLookAfter(t, fresh, i+1, step)
			})
		}
	}
}

// killAndLookAfter kills a writer before its nth step, which is called step.
func killAndLookAfter(t *testing.T, fresh bool, n int, step string) {
	dir := filepath.Join(t.TempDir(), "store")
	src := t.TempDir()
	next := writeFile(t, filepath.Join(src, "app"), "new", 0o755)
	var old string
	if !fresh {
		s, err := Open(dir)
		require.NoError(t, err)
		old, err = s.AddFiles("holdfast.dev/app:v1", []string{writeFile(t, filepath.Join(src, "old", "app"), "old", 0o755)})
		require.NoError(t, err)
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestCrashingWriter$")
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%d,%s,%s", crashEnv, n, dir, next))
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	require.ErrorAs(t, err, &exit, string(out))
	require.Equal(t, syscall.SIGKILL, exit.Sys().(syscall.WaitStatus).Signal(), string(out))
	require.Contains(t, string(out), "dies before "+step+"\n")

	s, err := Open(dir)
	require.NoError(t, err, "the store opens")
	got, err := s.Digest("holdfast.dev/app:v1")
	if fresh {
		require.ErrorIs(t, err, ErrMissing)
	} else {
		require.NoError(t, err)
		require.Equal(t, old, got)
		require.NoError(t, s.Verify(got))
	}
	digest, err := s.AddFiles("holdfast.dev/app:v1", []string{next})
	require.NoError(t, err, "the next writer is not held up")
	require.NoError(t, s.Verify(digest))
	left, err := os.ReadDir(s.path(ingestDir))
	require.NoError(t, err)
	require.Empty(t, left, "what the dead writer began is swept away")
}

func TestFailingStepsChangeNothing(t *testing.T) {
	t.Parallel()
	failure := errors.New("disk full")
	for n := 1; n <= 16; n++ {
		t.Run(fmt.Sprint("step ", n), func(t *testing.T) {
			t.Parallel()
			s := newStore(t)
			src := t.TempDir()
			old, err := s.AddFiles("holdfast.dev/app:v1", []string{writeFile(t, filepath.Join(src, "old", "app"), "old", 0o755)})
			require.NoError(t, err)
			left := n
			s.before = func(string) error {
				if left--; left == 0 {
					return failure
				}
				return nil
			}
			_, err = s.AddFiles("holdfast.dev/app:v1", []string{writeFile(t, filepath.Join(src, "app"), "new", 0o755)})
			require.ErrorIs(t, err, failure)
			got, err := s.Digest("holdfast.dev/app:v1")
			require.NoError(t, err)
			require.Equal(t, old, got)
			require.NoError(t, s.Verify(got))
			tmp, err := os.ReadDir(s.path(ingestDir))
			require.NoError(t, err)
			require.Empty(t, tmp)
		})
	}
}

func TestInterruptedExtractIsWholeOrNotThere(t *testing.T) {
	t.Parallel()
	for _, at := range []string{"extract", "place"} {
		t.Run(at, func(t *testing.T) {
			t.Parallel()
			s := newStore(t)
			digest, err := s.AddFiles("holdfast.dev/app:v1", []string{writeFile(t, filepath.Join(t.TempDir(), "app"), "new", 0o755)})
			require.NoError(t, err)
			dir := filepath.Join(t.TempDir(), "app")
			// What a killed process would leave beside it.
			writeFile(t, filepath.Join(filepath.Dir(dir), ".app.partial", "app"), "half", 0o644)
			s.before = func(step string) error {
				if step == at {
					return errors.New("disk full")
				}
				return nil
			}
			require.ErrorContains(t, s.Extract(digest, dir), "disk full")
			require.NoDirExists(t, dir)
			s.before = nil
			require.NoError(t, s.Extract(digest, dir))
			requireFiles(t, dir, map[string]os.FileMode{"app": 0o755})
		})
	}
}
