package gitsource_test

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-fleet/holdfast/gitsource"
	"github.com/holdfast-fleet/holdfast/gitsource/gitsourcetest"
)

// incompressible is text of n bytes that packs to half of that.
func incompressible(t *testing.T, n int) string {
	t.Helper()
	data := make([]byte, n/2)
	_, err := rand.Read(data)
	require.NoError(t, err)
	return hex.EncodeToString(data)
}

// slowly sends what h answers to requests for suffix in pieces, 20 ms apart.
func slowly(h http.Handler, suffix string, piece int) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if !strings.HasSuffix(req.URL.Path, suffix) {
			h.ServeHTTP(w, req)
			return
		}
		whole := httptest.NewRecorder()
		h.ServeHTTP(whole, req)
		for key, values := range whole.Header() {
			w.Header()[key] = values
		}
		w.WriteHeader(whole.Code)
		for whole.Body.Len() > 0 && req.Context().Err() == nil {
			w.Write(whole.Body.Next(piece))
			w.(http.Flusher).Flush()
			select {
			case <-req.Context().Done():
			case <-time.After(20 * time.Millisecond):
			}
		}
	})
}

func TestOnlyATransferThatDoesNotAdvanceIsCutAtItsDeadline(t *testing.T) {
	t.Parallel()
	m := newMirrored(t)
	m.commit(map[string]string{"big": incompressible(t, 100_000)})
	require.NoError(t, os.RemoveAll(m.dir))
	m.publish(t)
	backend, err := gitsourcetest.Handler(filepath.Dir(m.Dir))
	require.NoError(t, err)
	for _, tt := range []struct {
		name   string
		mirror bool
		piece  int
		want   string
	}{
		{"Git over HTTP that advances", false, 2000, ""},
		{"a static mirror that advances", true, 2000, ""},
		{"Git over HTTP that drips", false, 1, "too slowly"},
		{"a static mirror that drips", true, 1, "it stopped sending"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			source := gitsource.Source{Mirror: tt.mirror, Deadline: 300 * time.Millisecond}
			if tt.mirror {
				source.URL = gitsourcetest.ServeHandler(t, slowly(http.FileServer(http.Dir(m.dir)), ".bundle", tt.piece))
			} else {
				source.URL = gitsourcetest.ServeHandler(t, slowly(backend, "/git-upload-pack", tt.piece)) + "/fleet"
			}
			o := m.fleet.options(t)
			o.Sources = []gitsource.Source{source}
			r := open(t, o)
			started := time.Now()
			err := r.Fetch(context.Background())
			if tt.want != "" {
				require.ErrorContains(t, err, tt.want)
				return
			}
			require.NoError(t, err)
			require.Greater(t, time.Since(started), source.Deadline)
			rev, err := r.Verify(context.Background())
			require.NoError(t, err)
			require.Equal(t, m.Head(), rev.Commit())
		})
	}
}

func TestAFirstCloneOverABadLineIsSentOnce(t *testing.T) {
	t.Parallel()
	m := newMirrored(t)
	m.commit(map[string]string{"big": incompressible(t, 400_000)})
	require.NoError(t, os.RemoveAll(m.dir))
	size := m.publish(t).Size
	var sent, polls atomic.Int64
	files := http.FileServer(http.Dir(m.dir))
	server := gitsourcetest.ServeHandler(t, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if !strings.HasSuffix(req.URL.Path, ".bundle") {
			files.ServeHTTP(w, req)
			return
		}
		whole := httptest.NewRecorder()
		files.ServeHTTP(whole, req)
		for key, values := range whole.Header() {
			w.Header()[key] = values
		}
		w.WriteHeader(whole.Code)
		// The line breaks after each 30 kB, and then it is gone until the next poll.
		n, _ := io.CopyN(w, whole.Body, max(0, 30_000*polls.Load()-sent.Load()))
		sent.Add(n)
	}))
	o := m.options(t, server)
	for done := false; !done; {
		require.Less(t, polls.Add(1), int64(20))
		r, err := gitsource.Open(o) // the host is switched off each time
		require.NoError(t, err)
		done = r.Fetch(context.Background()) == nil
		if done {
			rev, err := r.Verify(context.Background())
			require.NoError(t, err)
			require.Equal(t, m.Head(), rev.Commit())
		}
		require.NoError(t, r.Close())
	}
	require.Greater(t, polls.Load(), int64(5))
	t.Logf("%d bytes, %d sent in %d polls", size, sent.Load(), polls.Load())
	require.LessOrEqual(t, float64(sent.Load()), 1.1*float64(size))
}

func TestAPollWithoutNewsIsOneRequest(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	f.Tag(gitsourcetest.Tag{Name: gitsource.HeartbeatTag, By: f.alice})
	backend, err := gitsourcetest.Handler(filepath.Dir(f.Dir))
	require.NoError(t, err)
	var requests atomic.Int64
	o := f.options(t)
	o.Sources = []gitsource.Source{{URL: gitsourcetest.ServeHandler(t, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		requests.Add(1)
		backend.ServeHTTP(w, req)
	})) + "/fleet"}}
	r := open(t, o)
	require.Equal(t, f.Head(), poll(t, r).Commit())
	for range 3 {
		requests.Store(0)
		require.Equal(t, f.Head(), poll(t, r).Commit())
		require.EqualValues(t, 1, requests.Load())
	}
	require.NoError(t, r.Close())
	r = open(t, o)
	requests.Store(0)
	require.Equal(t, f.Head(), poll(t, r).Commit())
	require.EqualValues(t, 1, requests.Load(), "after a restart")
}
