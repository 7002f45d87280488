package gitsource_test

import (
	"context"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-fleet/holdfast/gitsource"
	"github.com/holdfast-fleet/holdfast/gitsource/gitsourcetest"
)

// following runs the loops of a repository until the test ends.
func following(t *testing.T, r *gitsource.Repository, interval time.Duration) <-chan struct{} {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	heard := r.Follow(ctx, interval)
	t.Cleanup(func() {
		cancel()
		for range heard {
		}
	})
	return heard
}

// until verifies whenever a source was asked, until commit is accepted.
func until(t *testing.T, r *gitsource.Repository, heard <-chan struct{}, commit string) {
	t.Helper()
	late := time.After(2 * time.Minute)
	for {
		select {
		case <-heard:
			if rev, _ := r.Verify(context.Background()); rev.Commit() == commit {
				return
			}
		case <-late:
			rev, err := r.Verify(context.Background())
			t.Fatalf("commit %s was not accepted, but %s: %v", commit, rev.Commit(), err)
		}
	}
}

func TestASlowSourceKeepsNoOtherFromBeingHeard(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	backend, err := gitsourcetest.Handler(filepath.Dir(f.Dir))
	require.NoError(t, err)
	dripping := make(chan struct{}, 16)
	drips := func(w http.ResponseWriter, req *http.Request) {
		if !strings.HasSuffix(req.URL.Path, "/git-upload-pack") {
			backend.ServeHTTP(w, req)
			return
		}
		w.Header().Set("Content-Type", "application/x-git-upload-pack-result")
		piece := "0008NAK\n"
		for req.Context().Err() == nil { // for ever, and never idle
			w.Write([]byte(piece))
			piece = "0008\x02..."
			w.(http.Flusher).Flush()
			select {
			case dripping <- struct{}{}:
			default:
			}
			select {
			case <-req.Context().Done():
			case <-time.After(10 * time.Millisecond):
			}
		}
	}
	begun := make(chan struct{})
	good := gitsourcetest.ServeHandler(t, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		select { // or the slow source would have nothing to send that is new
		case <-begun:
			backend.ServeHTTP(w, req)
		case <-req.Context().Done():
		}
	}))
	o := f.options(t)
	o.Sources = []gitsource.Source{{URL: gitsourcetest.ServeHandler(t, http.HandlerFunc(drips)) + "/fleet"}, {URL: good + "/fleet"}}
	r := open(t, o)
	heard := following(t, r, 50*time.Millisecond)
	<-dripping
	close(begun)
	until(t, r, heard, f.Head())
	<-dripping
	f.commit(map[string]string{"a": "2"})
	until(t, r, heard, f.Head())
	<-dripping
	require.NoError(t, r.Problems(), "the slow source is still being read")
}

func TestASourceThatFailsIsAskedMoreRarely(t *testing.T) {
	t.Parallel()
	const interval = 20 * time.Millisecond
	f := newFleet(t)
	asks := make(chan time.Time, 1000)
	o := f.options(t)
	o.Sources = append(o.Sources, gitsource.Source{URL: gitsourcetest.ServeHandler(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asks <- time.Now()
		http.Error(w, "no", http.StatusInternalServerError)
	})) + "/fleet"})
	r := open(t, o)
	heard := following(t, r, interval)
	for n := range 3 {
		f.commit(map[string]string{"a": strings.Repeat("x", n)})
		until(t, r, heard, f.Head())
	}
	var before time.Time
	for range 5 {
		before = <-asks
	}
	require.Greater(t, (<-asks).Sub(before), 5*interval, "it waits twice as long after each failure")
	require.ErrorContains(t, r.Problems(), "fetch "+o.Sources[1].URL)

	good, failing := r.Sources()[0], r.Sources()[1]
	require.Equal(t, []string{o.Sources[0].URL, o.Sources[1].URL}, []string{good.Name, failing.Name})
	require.Empty(t, good.Problem)
	require.Contains(t, failing.Problem, "500")
	require.NotContains(t, failing.Problem, "fetch", "its name is said already")
	require.False(t, good.Heard.IsZero() || good.Next.IsZero() || failing.Asked.IsZero() || failing.Next.IsZero())
	require.True(t, failing.Heard.IsZero(), "it never answered")
	later := good
	later.Asked, later.Heard = later.Asked.Add(time.Hour), later.Heard.Add(time.Hour)
	require.True(t, good.Same(later))
	require.False(t, good.Same(failing))
}

func TestTheDeadlineOfASourceEndsItsPoll(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	backend, err := gitsourcetest.Handler(filepath.Dir(f.Dir))
	require.NoError(t, err)
	url := gitsourcetest.ServeHandler(t, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if strings.HasSuffix(req.URL.Path, "/git-upload-pack") {
			<-req.Context().Done()
			return
		}
		backend.ServeHTTP(w, req)
	}))
	o := f.options(t)
	o.Sources = []gitsource.Source{{URL: url + "/fleet", Deadline: 100 * time.Millisecond}}
	require.ErrorContains(t, open(t, o).Fetch(context.Background()), "sent for longer than 100ms too slowly")
}
