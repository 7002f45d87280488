package selfupdate

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-fleet/holdfast/durable"
	"github.com/holdfast-fleet/holdfast/durable/durabletest"
)

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// A host is one with an installed program, and content that holds others.
type host struct {
	t         *testing.T
	slots     Slots
	installed string
	content   map[string]string // digest → bytes
}

func newHost(t *testing.T) *host {
	dir := t.TempDir()
	h := &host{t: t, slots: Slots{Dir: filepath.Join(dir, "agent")}, installed: filepath.Join(dir, "installed"), content: map[string]string{}}
	require.NoError(t, os.WriteFile(h.installed, []byte("installed"), 0o700))
	return h
}

// has puts a program into the host's content.
func (h *host) has(text string) Program {
	sum := sha256.Sum256([]byte(text))
	p := Program{Version: "v" + text, Digest: "sha256:" + hex.EncodeToString(sum[:])}
	h.content[p.Digest] = text
	return p
}

func (h *host) open(digest string) (io.ReadCloser, error) {
	text, ok := h.content[digest]
	if !ok {
		return nil, errors.New("not in the content store")
	}
	return io.NopCloser(bytes.NewBufferString(text)), nil
}

// start starts the agent as the machine does, and returns the program that runs.
func (h *host) start() (*Agent, string, error) {
	path, err := h.slots.Start(now)
	if path == "" {
		path = h.installed
	}
	text, readErr := os.ReadFile(path)
	require.NoError(h.t, readErr)
	a, runErr := h.slots.Running(path, h.installed, h.open)
	require.NoError(h.t, runErr)
	a.clock = func() time.Time { return now }
	a.digest = h.has(string(text)).Digest // else that of the test
	return a, string(text), err
}

// runs starts the agent and expects the program.
func (h *host) runs(want string) *Agent {
	h.t.Helper()
	a, text, _ := h.start()
	require.Equal(h.t, want, text)
	return a
}

func (h *host) loads(a *Agent) {
	h.t.Helper()
	_, err := a.Loaded("r", nil)
	require.NoError(h.t, err)
}

func (h *host) fails(a *Agent, revision, why string) {
	h.t.Helper()
	_, err := a.Loaded(revision, errors.New(why))
	require.NoError(h.t, err)
}

func TestANewProgramIsTriedAndThenTrusted(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	two, three := h.has("2"), h.has("3")
	a := h.runs("installed")
	require.NoError(t, a.Want(h.has("installed"), "r1"), "it runs already")
	require.ErrorIs(t, a.Want(two, "r2"), ErrRestart)

	a = h.runs("2")
	st, err := a.Status()
	require.NoError(t, err)
	require.Equal(t, Status{Slot: "a", Trial: true}, st)
	require.NoError(t, a.Want(two, "r2"))
	h.loads(a)
	require.NoError(t, a.Try(t.Context(), 0), "its time is not over: it is proven")

	a = h.runs("2")
	require.ErrorIs(t, a.Want(three, "r3"), ErrRestart)
	a = h.runs("3")
	h.loads(a)

	t.Log("the other slot still holds the program before: it is not needed from the content")
	clear(h.content)
	a = h.runs("3")
	require.ErrorIs(t, a.Want(two, "r4"), ErrRestart)
	h.loads(h.runs("2"))
	h.runs("2")
}

func TestAProgramThatLoadsNothingIsSwitchedBack(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		fail func(h *host) // after the trial was noted
		why  string
	}{
		{"it ends, or hangs until the watchdog kills it, again and again", func(h *host) {
			for range maxStarts {
				h.runs("2")
			}
		}, "it was started 3 times and loaded no revision"},
		{"it runs, and loads nothing in its time", func(h *host) {
			require.ErrorIs(h.t, h.runs("2").Try(h.t.Context(), 0), ErrRestart)
		}, "it loaded no revision within 0s"},
		{"it refuses the revision", func(h *host) {
			a := h.runs("2")
			h.fails(a, "r2", "fleet.yaml:3: unknown field")
			require.ErrorIs(h.t, a.Try(h.t.Context(), 0), ErrRestart)
		}, "it loaded no revision within 0s: fleet.yaml:3: unknown field"},
		{"it cannot be run", func(h *host) {
			require.NoError(h.t, h.slots.Refuse(errors.New("exec format error"), now))
		}, "exec format error"},
		{"its bytes are damaged", func(h *host) {
			require.NoError(h.t, os.WriteFile(h.slots.path("a"), []byte("3"), 0o700))
		}, "has the digest"},
		{"its file is gone", func(h *host) {
			require.NoError(h.t, os.Remove(h.slots.path("a")))
		}, "no such file"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := newHost(t)
			two := h.has("2")
			require.ErrorIs(t, h.runs("installed").Want(two, "r2"), ErrRestart)
			tt.fail(h)

			a := h.runs("installed")
			var bad *BadError
			require.ErrorAs(t, a.Want(two, "r3"), &bad, "a later commit does not try it again")
			require.Contains(t, bad.Why, tt.why)
			require.Equal(t, "r2", bad.Revision)
			require.NotEmpty(t, bad.Hint())

			require.NoError(t, a.Forget())
			require.ErrorIs(t, a.Want(two, "r3"), ErrRestart, "a person may have it tried again")
		})
	}
}

func TestARevisionThatNobodyCanLoadSaysNothingOfTheProgram(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	two := h.has("2")
	require.ErrorIs(t, h.runs("installed").Want(two, "r2"), ErrRestart)
	require.ErrorIs(t, h.runs("2").Try(t.Context(), 0), ErrRestart)
	a := h.runs("installed")
	h.fails(a, "r1", "an older one")
	require.Error(t, a.Want(two, "r3"))
	h.fails(a, "r2", "site.yaml:1: not YAML")
	var bad *BadError
	require.ErrorAs(t, a.Want(two, "r2"), &bad, "the same revision is not tried again")
	require.ErrorIs(t, a.Want(two, "r3"), ErrRestart)
}

func TestPowerCutsDuringATrialAreNotHeldAgainstIt(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	two := h.has("2")
	require.ErrorIs(t, h.runs("installed").Want(two, "r2"), ErrRestart)
	for range maxAllStarts {
		h.runs("2")
		st, err := h.slots.load()
		require.NoError(t, err)
		st.Trial.Boot = "another"
		require.NoError(t, h.slots.save(st))
	}
	h.runs("installed") // but not for ever: it may be what makes the machine boot
}

func TestADamagedCurrentProgramIsReplaced(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	two := h.has("2")
	require.ErrorIs(t, h.runs("installed").Want(two, "r2"), ErrRestart)
	h.loads(h.runs("2"))
	require.NoError(t, os.WriteFile(h.slots.path("a"), []byte("two"), 0o700))
	a, text, err := h.start()
	require.Equal(t, "installed", text)
	require.ErrorContains(t, err, "agent v2 does not start")
	require.ErrorIs(t, a.Want(two, "r2"), ErrRestart)
	h.loads(h.runs("2"))
	h.runs("2")
}

func TestOfTwoCommitsTheLaterCounts(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	two, three := h.has("2"), h.has("3")
	require.ErrorIs(t, h.runs("installed").Want(two, "r2"), ErrRestart)
	require.ErrorIs(t, h.runs("2").Want(three, "r3"), ErrRestart)
	require.ErrorIs(t, h.runs("installed").Want(three, "r3"), ErrRestart)
	h.loads(h.runs("3"))
	st, err := h.runs("3").Status()
	require.NoError(t, err)
	require.Empty(t, st.Bad, "a program that had no chance is not bad")
}

func TestAProgramThatIsNotThereChangesNothing(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	two := h.has("2")
	delete(h.content, two.Digest)
	var missing *MissingError
	require.ErrorAs(t, h.runs("installed").Want(two, "r2"), &missing)
	require.Contains(t, missing.Hint(), "holdfast content add")

	h.content[two.Digest] = "other bytes"
	require.ErrorContains(t, h.runs("installed").Want(two, "r2"), "its bytes are")
	left, err := filepath.Glob(filepath.Join(h.slots.Dir, "*"))
	require.NoError(t, err)
	require.Empty(t, left)
}

func TestAStateThatMakesNoSenseRunsTheInstalledProgram(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"torn":         `{"current": {"ver`,
		"another slot": `{"current": {"slot": "../../bin/sh", "digest": "sha256:00"}}`,
		"no digest":    `{"trial": {"slot": "a"}}`,
		"one slot":     `{"current": {"slot": "a", "digest": "sha256:00"}, "trial": {"slot": "a", "digest": "sha256:11"}}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHost(t)
			require.NoError(t, os.MkdirAll(h.slots.Dir, 0o700))
			require.NoError(t, os.WriteFile(filepath.Join(h.slots.Dir, stateFile), []byte(text), 0o600))
			path, err := h.slots.Start(now)
			require.ErrorContains(t, err, stateFile)
			require.Empty(t, path)
		})
	}
}

// TestThePowerIsCutAtAnyPoint switches a host from one program to the next and to
// one that fails, and cuts the power at each change of its disk.
func TestThePowerIsCutAtAnyPoint(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	base := t.TempDir()
	journal := durabletest.NewJournal(root)
	h := newHost(t)
	h.slots = Slots{Dir: filepath.Join(root, "agent"), Disk: journal.Disk()}
	two, three := h.has("2"), h.has("3")
	require.ErrorIs(t, h.runs("installed").Want(two, "r2"), ErrRestart)
	h.loads(h.runs("2"))
	require.ErrorIs(t, h.runs("2").Want(three, "r3"), ErrRestart)
	require.ErrorIs(t, h.runs("3").Try(t.Context(), 0), ErrRestart)
	require.Error(t, h.runs("2").Want(three, "r3"))

	cuts := 0
	for n := 0; n <= journal.Len(); n++ {
		for _, loss := range []durabletest.Loss{durabletest.Names, durabletest.Data, durabletest.Half} {
			after := filepath.Join(t.TempDir(), "after")
			require.NoError(t, journal.Cut(base, after, n, loss))
			cuts++
			h := *h
			h.slots = Slots{Dir: filepath.Join(after, "agent")}
			at := fmt.Sprintf("cut before change %d (%s), with the loss of %s", n, journal.Change(n), loss)
			a, text, err := h.start()
			require.NoError(t, err, at)
			require.Contains(t, []string{"installed", "2", "3"}, text, at)
			if text == "installed" {
				require.ErrorIs(t, a.Want(two, "r2"), ErrRestart, at)
				h.runs("2")
			}
			require.NoError(t, os.RemoveAll(after))
		}
	}
	t.Logf("%d cut points, 0 unrecovered", cuts)
}

func TestADiskThatFailsChangesNothing(t *testing.T) {
	t.Parallel()
	points := 0
	for failed := true; failed; points++ {
		failed = false
		h, changes := newHost(t), 0
		two := h.has("2")
		h.slots.Disk = durable.Disk{Before: func(durable.Change) error {
			if changes++; changes-1 == points {
				failed = true
				return errors.New("no space left on device")
			}
			return nil
		}}
		a := h.runs("installed")
		err := a.Want(two, "r2")
		h.slots.Disk = durable.Disk{}
		if failed {
			require.ErrorContains(t, err, "no space left on device")
			if a, text, _ := h.start(); text == "installed" { // else only the last sync failed
				require.ErrorIs(t, a.Want(two, "r2"), ErrRestart)
			}
		}
		h.runs("2")
	}
	require.Greater(t, points, 5)
}

func TestATrialEndsWithTheAgent(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	require.ErrorIs(t, h.runs("installed").Want(h.has("2"), "r2"), ErrRestart)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.NoError(t, h.runs("2").Try(ctx, TrialTime))
}

func FuzzParseState(f *testing.F) {
	for _, seed := range []string{
		`{}`, `{"current":{"version":"v1.0.0","digest":"sha256:00","slot":"a"},"trial":{"version":"v1.1.0","digest":"sha256:11","slot":"b","revision":"r","boot":"x","starts":1,"all":2}}`,
		`{"bad":[{"version":"v1","digest":"sha256:22","revision":"r","why":"no","at":"2026-03-01T12:00:00Z"}]}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		st, err := parseState(data)
		if err != nil {
			return
		}
		s := Slots{Dir: t.TempDir()}
		if err := s.save(st); err != nil {
			return // a time that JSON cannot hold
		}
		again, err := s.load()
		require.NoError(t, err)
		want, err := json.Marshal(st)
		require.NoError(t, err)
		have, err := json.Marshal(again)
		require.NoError(t, err)
		require.JSONEq(t, string(want), string(have))
	})
}
