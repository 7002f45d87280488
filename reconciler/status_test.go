package reconciler

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-fleet/holdfast/gitsource"
	"github.com/holdfast-fleet/holdfast/render"
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

	before, err := os.ReadFile(filepath.Join(dir, StatusFile))
	require.NoError(t, err)
	require.Regexp(t, `,"updatedAt":"[^"]+"}\n$`, string(before), "what comes after it would change without being written")
	rec.now = func() time.Time { return time.Now().Add(time.Hour) }
	rec.write()
	after, err := os.ReadFile(filepath.Join(dir, StatusFile))
	require.NoError(t, err)
	require.Equal(t, string(before), string(after), "that nothing changed is not written")
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
	_, _ = s.verify(context.Background())
	s.rec.write()
	st, err := ReadStatus(dir)
	require.NoError(t, err)
	require.Equal(t, []*gitsource.Diverged{alarm}, st.Diverged)
	require.Contains(t, st.Failures[0].Hint, "trust reset")
	source.err = nil
	_, _ = s.verify(context.Background())
	require.Empty(t, s.rec.snapshot().Diverged)
}

type alarming struct {
	Source
	err error
}

func (a *alarming) Verify(context.Context) (gitsource.Revision, error) {
	return gitsource.Revision{}, a.err
}

func TestALayerKeepsItsTroublesUntilItIsWell(t *testing.T) {
	t.Parallel()
	web, db := Object{Kind: "Deployment", Name: "web"}, Object{Kind: "StatefulSet", Name: "db"}
	layers := []render.Layer{{Name: "shop", Digest: "sha256:a"}}
	s := Status{Layers: layerStatuses(nil, layers, nil, noon)}
	shop := func() LayerStatus { return s.Layers[0] }
	s.troubled("nobody", []Trouble{{Object: web}}, noon)
	s.layer("shop", LayerWaiting, "", noon)
	s.troubled("shop", []Trouble{{Object: db, State: "InProgress"}, {Object: web, State: "InProgress", Why: "0 of 1"}}, noon)
	s.troubled("shop", []Trouble{{Object: web, State: "InProgress", Why: "still 0 of 1"}}, noon.Add(time.Minute))
	require.Equal(t, []Trouble{{Object: web, State: "InProgress", Why: "still 0 of 1", Since: noon}}, shop().Troubles, "since it first was so")
	s.layer("shop", LayerFailed, "not healthy", noon.Add(time.Minute))
	s.Layers = layerStatuses(s.Layers, layers, nil, noon.Add(2*time.Minute))
	require.Equal(t, LayerPending, shop().State)
	s.layer("shop", LayerFailed, "not healthy", noon.Add(3*time.Minute))
	require.Equal(t, noon.Add(time.Minute), shop().Failing, "since it first failed, whenever it is tried again")
	require.Len(t, shop().Troubles, 1)
	require.Equal(t, Failing, s.Condition())
	s.layer("shop", LayerReady, "", noon.Add(4*time.Minute))
	require.Empty(t, shop().Troubles)
	require.Zero(t, shop().Failing)
	require.Equal(t, Working, s.Condition())

	var many []Trouble
	for n := range maxTroubles + 7 {
		many = append(many, Trouble{Object: Object{Kind: "Pod", Name: fmt.Sprint(n)}})
	}
	s.troubled("shop", many, noon)
	require.Len(t, shop().Troubles, maxTroubles)
	require.Equal(t, 7, shop().More)
}

// All is looked at again every few minutes, which is no news to people.
func TestHowLongAHostIsHealthyOutlivesLooksAtIt(t *testing.T) {
	t.Parallel()
	layers := []render.Layer{{Name: "shop", Digest: "sha256:a"}}
	s := Status{Confirmed: &Commit{Revision: "a"}}
	look := func(at time.Time) {
		s.enter(PhaseApply, at)
		s.Layers = layerStatuses(s.Layers, layers, nil, at)
		s.layer("shop", LayerApplying, "", at)
		s.layer("shop", LayerReady, "", at.Add(time.Second))
		s.settle(at.Add(2 * time.Second))
	}
	look(noon)
	look(noon.Add(time.Hour))
	require.Equal(t, noon.Add(2*time.Second), s.Since)
	require.Equal(t, noon.Add(time.Second), s.Layers[0].Since)
	s.fail(PhaseSource, "no route to host", "", noon)
	look(noon.Add(2 * time.Hour))
	require.Equal(t, noon.Add(2*time.Second), s.Since, "what it runs is as healthy without a source")
	s.layer("shop", LayerFailed, "0 of 2 ready", noon.Add(3*time.Hour))
	s.fail(PhaseApply, "0 of 2 ready", "", noon.Add(3*time.Hour))
	look(noon.Add(3 * time.Hour))
	require.Equal(t, noon.Add(3*time.Hour+2*time.Second), s.Since)
	require.Equal(t, noon.Add(3*time.Hour+time.Second), s.Layers[0].Since)
	s.Confirmed = &Commit{Revision: "b"}
	look(noon.Add(4 * time.Hour))
	require.Equal(t, noon.Add(4*time.Hour+2*time.Second), s.Since, "another revision")
}

func TestTroublesAreFoundInAnyError(t *testing.T) {
	t.Parallel()
	web, job, db := Object{Kind: "Deployment", Name: "web"}, Object{Kind: "Job", Name: "setup"}, Object{Kind: "StatefulSet", Name: "db"}
	refused := &ObjectError{Verb: "apply", Object: web, Reason: "invalid", Tip: "mend it"}
	immutable := &ImmutableError{Objects: []*ObjectError{{Object: job, Reason: "field is immutable"}}}
	sick := fmt.Errorf("not healthy: %w", &UnhealthyError{Objects: []Unhealthy{{Object: db, Status: "Failed", Why: "no disk"}}})
	require.Equal(t, []Trouble{
		{Object: web, State: Refused, Why: "invalid", Hint: "mend it"},
		{Object: job, State: Refused, Why: "field is immutable"},
		{Object: db, State: "Failed", Why: "no disk"},
	}, troubles(errors.Join(refused, errors.New("of none"), immutable, sick)))
	require.Empty(t, troubles(nil))
}

func TestAFightIsSaidUntilItIsOver(t *testing.T) {
	t.Parallel()
	var s Status
	web := Object{Version: "v1", Kind: "Deployment", Name: "web"}
	drift := func(fight string) Drift {
		return Drift{Layer: "shop", Objects: []Drifted{{Object: web, By: "kubectl", Fields: []string{".spec.replicas"}, Fight: fight, Peace: 10 * time.Minute}}}
	}
	s.fought(drift(""), noon)
	require.Empty(t, s.Fights)
	s.fought(drift("kubectl, 5 times"), noon)
	s.fought(drift("kubectl, 6 times"), noon.Add(time.Minute))
	s.calmed(noon.Add(10 * time.Minute))
	require.Equal(t, []Fight{{web, "shop", "kubectl, 6 times", noon, noon.Add(11 * time.Minute)}}, s.Fights)
	require.Equal(t, []any{"by", "kubectl", "fields", ".spec.replicas"}, drift("x").blame(web))
	s.fought(drift(""), noon.Add(time.Hour))
	require.Empty(t, s.Fights, "it drifted after a long time, for another reason")
	s.fought(drift("kubectl, 5 times"), noon)
	s.calmed(noon.Add(11 * time.Minute))
	require.Empty(t, s.Fights, "nobody has changed it back")
}

func TestThatSourcesWereAskedAgainIsNoNews(t *testing.T) {
	t.Parallel()
	rec := newRecorder(t.TempDir(), Status{}, slog.New(slog.DiscardHandler))
	woken := func() bool { return len(rec.changed) > 0 && len(drain(rec.changed)) == 0 }
	at := func(minute int, problem string) []gitsource.SourceState {
		return []gitsource.SourceState{{Name: "https://git.example.com/fleet.git", Asked: noon.Add(time.Duration(minute) * time.Minute), Problem: problem}}
	}
	rec.contacts(at(1, ""))
	require.True(t, woken(), "it was asked for the first time")
	rec.contacts(at(2, ""))
	require.False(t, woken())
	require.Equal(t, at(2, ""), rec.snapshot().Sources, "and is written with the next news")
	heard := at(2, "")
	heard[0].Heard = noon
	rec.contacts(heard)
	rec.contacts(at(2, ""))
	require.Equal(t, noon, rec.snapshot().Sources[0].Heard, "a restart does not forget when it was heard")
	rec.contacts(at(3, "no route to host"))
	require.True(t, woken())
}

// drain empties a channel of one slot, which it returns.
func drain(c chan struct{}) chan struct{} {
	<-c
	return c
}

func TestAnAgentIsToldFromOthersThatHadItsPID(t *testing.T) {
	t.Parallel()
	me := AgentStatus{PID: os.Getpid(), Process: processOf(os.Getpid())}
	require.NotEmpty(t, me.Process)
	require.True(t, me.Running())
	before := me
	before.Process = "00000000-1"
	require.False(t, before.Running())
	child := exec.Command("true")
	require.NoError(t, child.Start())
	dead := AgentStatus{PID: child.Process.Pid}
	require.Eventually(t, func() bool { return !dead.Running() }, time.Minute, time.Millisecond, "one that ended, and that nobody waited for yet, does not run")
	require.NoError(t, child.Wait())
	require.False(t, dead.Running())
}

func TestADamagedStatusIsAnErrorThatNamesIt(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, StatusFile), []byte("{"), 0o600))
	_, err := ReadStatus(dir)
	require.ErrorContains(t, err, StatusFile)
}
