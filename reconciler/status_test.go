package reconciler

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-fleet/holdfast/gitsource"
)

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func TestFailuresAreKeptByPhaseUntilItSucceeds(t *testing.T) {
	t.Parallel()
	var s Status
	s.fail(PhaseRender, "does not render", "", noon)
	s.fail(PhaseSource, "no route to host", "", noon)
	s.fail(PhaseSource, "no route to host", "", noon.Add(time.Hour))
	require.Equal(t, []Failure{
		{Phase: PhaseSource, Message: "no route to host", Since: noon},
		{Phase: PhaseRender, Message: "does not render", Since: noon},
	}, s.Failures, "in the order of the phases, each since it first said so")
	s.Settled = true
	require.False(t, s.Healthy())
	s.clear(PhaseSource)
	s.clear(PhaseRender)
	require.True(t, s.Healthy())
}

func TestStatusIsWrittenAndReadBack(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	rec := newRecorder(dir, Status{Host: "store-042-a"}, slog.New(slog.DiscardHandler))
	rec.finish(PhaseVerify, errors.New("not signed"))
	rec.write()
	s, err := ReadStatus(dir)
	require.NoError(t, err)
	require.Equal(t, "store-042-a", s.Host)
	require.Equal(t, "not signed", s.Failures[0].Message)
	require.False(t, s.UpdatedAt.IsZero())
}

func TestEachHintOfAPhaseIsKept(t *testing.T) {
	t.Parallel()
	rec := newRecorder(t.TempDir(), Status{}, slog.New(slog.DiscardHandler))
	unregistered := func(key string) error { return &Unregistered{key, errors.New("no host")} }
	rec.finish(PhaseLoad, fmt.Errorf("load: %w", errors.Join(unregistered("one"), errors.New("no hint"), unregistered("two"), unregistered("one"))))
	hints := strings.Split(rec.snapshot().Failures[0].Hint, "\n")
	require.Len(t, hints, 2)
	require.Contains(t, hints[0], "one")
	require.Contains(t, hints[1], "two")
	rec.finish(PhaseLoad, ErrFrozen)
	require.Contains(t, rec.snapshot().Failures[0].Hint, "hosts folder")
}

func TestAnAlarmIsInTheStatus(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	alarm := &gitsource.Diverged{Fork: "f", Ours: gitsource.Side{Commit: "a"}, Other: gitsource.Side{Source: "x", Commit: "b"}}
	source := &alarming{err: errors.Join(errors.New("other"), fmt.Errorf("refused: %w", alarm))}
	r := Reconciler{Dir: dir, Source: source}
	s := r.session()
	s.verify(context.Background())
	s.rec.write()
	st, err := ReadStatus(dir)
	require.NoError(t, err)
	require.Equal(t, []*gitsource.Diverged{alarm}, st.Diverged)
	require.Contains(t, st.Failures[0].Hint, "trust reset")
	source.err = nil
	s.verify(context.Background())
	require.Empty(t, s.rec.snapshot().Diverged)
}

type alarming struct {
	Source
	err error
}

func (a *alarming) Verify(context.Context) (gitsource.Revision, error) {
	return gitsource.Revision{}, a.err
}

func TestADamagedStatusIsAnErrorThatNamesIt(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, StatusFile), []byte("{"), 0o600))
	_, err := ReadStatus(dir)
	require.ErrorContains(t, err, StatusFile)
}
