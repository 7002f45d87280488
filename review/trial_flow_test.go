package review_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-fleet/holdfast/gitsource/gitsourcetest"
	"github.com/holdfast-fleet/holdfast/render"
	"github.com/holdfast-fleet/holdfast/review"
)

// rack hands out servers that answer as they are told, and counts them.
type rack struct {
	started, closed atomic.Int32
	apply           func(nth int32, site string, layers []render.Layer) ([]review.Outcome, error)
	startErr        func(nth int32) error
}

type fakeServer struct {
	*rack
	nth int32
}

func (r *rack) start(context.Context) (review.Server, error) {
	n := r.started.Add(1)
	if r.startErr != nil {
		if err := r.startErr(n); err != nil {
			r.closed.Add(1)
			return nil, err
		}
	}
	return fakeServer{r, n}, nil
}

func (s fakeServer) Version(context.Context) (string, error)            { return "v1.36.3", nil }
func (s fakeServer) Remove(context.Context, string, render.Layer) error { return nil }
func (s fakeServer) Close() error                                       { s.closed.Add(1); return nil }
func (s fakeServer) Apply(_ context.Context, site string, layers []render.Layer) ([]review.Outcome, error) {
	if s.apply == nil {
		return nil, nil
	}
	return s.apply(s.nth, site, layers)
}

// try runs a trial of an edited example on a rack.
func (r *rack) try(t *testing.T, limit int, edit func(e *example)) (review.Changes, error) {
	e := newExample(t)
	edit(e)
	head := e.repo.Commit(gitsourcetest.Commit{})
	c := e.diff(e.base, head)
	trial := review.Trial{Base: review.State{Name: "base", FS: e.tree(e.base)}, Head: review.State{Name: "head", FS: e.tree(head)},
		Paths: e.changed(e.base, head), Limit: limit, Start: r.start}
	var said []string
	trial.Progress = func(n, all int, site string) { said = append(said, fmt.Sprintf("%d of %d: %s", n, all, site)) }
	err := trial.Run(t.Context(), &c)
	if err == nil {
		require.Len(t, said, c.Server.Tried, "each is announced")
	}
	require.Equal(t, r.started.Load(), r.closed.Load(), "each server is closed")
	return c, err
}

func newImage(e *example) { e.edit(web, "web:1.0.0", "web:1.0.1") }

func TestNothingToTryNeedsNoServer(t *testing.T) {
	t.Parallel()
	var r rack
	c, err := r.try(t, 10, func(e *example) { e.edit(node, "v1.36.3", "v1.35.1") })
	require.NoError(t, err)
	require.Zero(t, r.started.Load(), "layers stay as they are")
	require.NotEmpty(t, c.Groups)
	require.Zero(t, c.Server.Renderings)
}

func TestTheFirstRenderingsShowMost(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		limit   int
		untried []string
	}{
		{"each rendering has its own server", 10, []string{}},
		{"two of them have every change in them", 2, []string{"store-042"}},
		{"one has the most", 1, []string{"kiosk-001", "store-042"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var r rack
			c, err := r.try(t, tt.limit, func(e *example) {
				newImage(e)
				e.repo.Write(store43+"addons/shop/page.txt", "Salut")
			})
			require.NoError(t, err)
			require.Equal(t, 3, c.Server.Renderings)
			require.EqualValues(t, c.Server.Tried, r.started.Load())
			require.Equal(t, tt.untried, c.Server.Untried)
		})
	}
}

func TestAServerThatBreaksEndsTheTrial(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	for name, r := range map[string]*rack{
		"while it is used":  {apply: func(int32, string, []render.Layer) ([]review.Outcome, error) { return nil, broken }},
		"when it starts":    {startErr: func(int32) error { return broken }},
		"as the second one": {startErr: func(n int32) error { return map[int32]error{2: broken}[n] }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := r.try(t, 10, newImage)
			require.ErrorIs(t, err, broken)
			require.ErrorContains(t, err, "on an API server")
		})
	}
}

func TestAnotherVersionIsSaid(t *testing.T) {
	t.Parallel()
	var r rack
	c, err := r.try(t, 10, func(e *example) { newImage(e); e.edit(node, "v1.36.3", "v1.34.1") })
	require.NoError(t, err)
	require.Equal(t, []string{"store-042, store-043: its Kubernetes is v1.34.1, and was tried on v1.36.3, whose rules may differ"}, c.Server.Notes)
}

// TestWhatFollowsIsNotSaid has a layer refused that others need.
func TestWhatFollowsIsNotSaid(t *testing.T) {
	t.Parallel()
	outcomes := func(int32, string, []render.Layer) ([]review.Outcome, error) {
		return []review.Outcome{
			{Layer: "crds", APIVersion: "v1", Kind: "A", Name: "cause", Refused: "bad"},
			{Layer: "pricing", APIVersion: "v1", Kind: "B", Name: "follows", Refused: "no such kind", Missing: true},
			{Layer: "pricing", APIVersion: "v1", Kind: "B", Name: "own", Refused: "wrong"},
			{Layer: "shop", APIVersion: "v1", Kind: "C", Name: "apart", Refused: "no such kind", Missing: true},
		}, nil
	}
	for _, tt := range []struct {
		name  string
		apply func(int32, string, []render.Layer) ([]review.Outcome, error)
		old   bool
	}{
		{"refused at head alone", func(n int32, site string, layers []render.Layer) ([]review.Outcome, error) {
			if slices.ContainsFunc(layers, func(l render.Layer) bool { return contains(l.Objects, "web:1.0.1") }) {
				return outcomes(n, site, layers)
			}
			return nil, nil
		}, false},
		{"refused at base, too", outcomes, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := rack{apply: tt.apply}
			c, err := r.try(t, 1, newImage)
			require.NoError(t, err)
			var said []string
			for _, f := range c.Server.Findings {
				require.Equal(t, tt.old, f.Old)
				said = append(said, f.Object)
			}
			require.Equal(t, []string{"A cause", "B own", "C apart"}, said)
			require.Equal(t, map[bool]int{true: 0, false: 3}[tt.old], c.Server.Refusals())
		})
	}
}

func contains(objects []json.RawMessage, text string) bool {
	return slices.ContainsFunc(objects, func(raw json.RawMessage) bool { return strings.Contains(string(raw), text) })
}
