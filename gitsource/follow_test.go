package gitsource_test

import (
	"context"
	"net/http"
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

// counted serves a fleet and counts how often it is asked.
func counted(t *testing.T, f *fleet) (string, *atomic.Int32) {
	t.Helper()
	backend, err := gitsourcetest.Handler(filepath.Dir(f.Dir))
	require.NoError(t, err)
	n := new(atomic.Int32)
	return gitsourcetest.ServeHandler(t, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		n.Add(1)
		backend.ServeHTTP(w, req)
	})) + "/fleet", n
}

func TestSourcesChangeWhileTheyAreFollowed(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	first, firstAsked := counted(t, f)
	second, secondAsked := counted(t, f)
	o := f.options(t)
	o.Sources = []gitsource.Source{{URL: first}}
	r := open(t, o)
	heard := following(t, r, 20*time.Millisecond)
	until(t, r, heard, f.Head())
	require.True(t, r.Answers(gitsource.Source{URL: first}))
	require.False(t, r.Answers(gitsource.Source{URL: second}), "it is not asked")

	both := []gitsource.Source{{URL: first}, {URL: second, Note: "new"}}
	require.NoError(t, r.SetSources(both))
	require.Eventually(t, func() bool { <-heard; return secondAsked.Load() > 2 && r.Answers(both[1]) }, time.Minute, time.Millisecond)
	require.False(t, r.Answers(gitsource.Source{URL: second}), "another note is another source")

	require.NoError(t, r.SetSources(both[1:]))
	f.commit(map[string]string{"a": "2"})
	until(t, r, heard, f.Head())
	ended, asked := firstAsked.Load(), secondAsked.Load() // now what was on its way when the source ended has come, too
	require.Eventually(t, func() bool { return secondAsked.Load() > asked+3 }, time.Minute, time.Millisecond)
	require.Equal(t, ended, firstAsked.Load(), "a source that has ended is not asked")

	require.ErrorContains(t, r.SetSources([]gitsource.Source{{URL: first}, {URL: "git://x"}}), "only https://")
	require.ErrorContains(t, r.SetSources([]gitsource.Source{{URL: first}, {URL: first}}), "is named twice")
	require.True(t, r.Answers(both[1]), "an error changes nothing")
	require.NoError(t, r.SetSources(nil))
	require.NoError(t, r.Problems())
}

func TestASlowSourceThatEndsHoldsNothingUp(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	asked := make(chan struct{}, 16)
	o := f.options(t)
	o.Sources = append(o.Sources, gitsource.Source{URL: gitsourcetest.ServeHandler(t, http.HandlerFunc(func(_ http.ResponseWriter, req *http.Request) {
		asked <- struct{}{}
		<-req.Context().Done()
	})) + "/fleet"})
	r := open(t, o)
	heard := following(t, r, 20*time.Millisecond)
	<-asked
	require.NoError(t, r.SetSources(o.Sources[:1])) // which would not return
	until(t, r, heard, f.Head())
	require.NoError(t, r.Problems())
}

func TestAFormerMirrorLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	m := newMirrored(t)
	url := gitsourcetest.ServeHandler(t, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if strings.HasSuffix(req.URL.Path, ".bundle") {
			w.Header().Set("Content-Length", "1000")
			w.Write([]byte("half"))
			return
		}
		http.FileServer(http.Dir(m.dir)).ServeHTTP(w, req)
	}))
	o := m.options(t, url)
	r := open(t, o)
	require.Error(t, r.Fetch(context.Background()))
	downloads := func() []string {
		found, err := filepath.Glob(filepath.Join(o.Dir, "download-*"))
		require.NoError(t, err)
		return found
	}
	require.NotEmpty(t, downloads())
	require.NoError(t, r.SetSources(nil))
	require.Empty(t, downloads())
}

func TestARevisionThatWasAcceptedIsFound(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	r := open(t, f.options(t))
	_, err := r.Accepted(f.Head())
	require.ErrorContains(t, err, "nothing is accepted yet")
	first := poll(t, r).Commit()
	f.commit(map[string]string{"a": "2"})
	poll(t, r)
	rev, err := r.Accepted(first)
	require.NoError(t, err)
	require.Equal(t, first, rev.Commit())
	_, err = rev.FS().Open("trust")
	require.NoError(t, err)
	f.Git("checkout", "-q", "-b", "side", first)
	_, err = r.Accepted(f.CommitIndex(gitsourcetest.Commit{Message: "aside"}))
	require.ErrorContains(t, err, "not on the line to the floor")
	_, err = r.Accepted("main")
	require.ErrorContains(t, err, "not the name of an object")
}

func TestCredentialsInMemory(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	backend, err := gitsourcetest.Handler(filepath.Dir(f.Dir))
	require.NoError(t, err)
	ca := gitsourcetest.NewCA(t)
	files := map[string][]byte{"token": []byte("t0ken\n"), "password": []byte("pass"), "empty": nil}
	read := func(name, path string) {
		data, err := os.ReadFile(path)
		require.NoError(t, err)
		files[name] = data
	}
	certificate, key := ca.Certificate("host")
	read("ca", ca.File)
	read("certificate", certificate)
	read("key", key)
	only := func(header string) string {
		return ca.ServeTLS(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			if req.Header.Get("Authorization") != header {
				http.Error(w, "who are you", http.StatusUnauthorized)
				return
			}
			backend.ServeHTTP(w, req)
		}), false) + "/fleet"
	}
	clients := ca.ServeTLS(backend, true) + "/fleet"
	for _, tt := range []struct {
		name   string
		source gitsource.Source
		want   string // "": read
	}{
		{"a token", gitsource.Source{URL: only("Bearer t0ken"), TokenFile: "token"}, ""},
		{"a password", gitsource.Source{URL: only("Basic bWU6cGFzcw=="), Username: "me", PasswordFile: "password"}, ""},
		{"a client certificate", gitsource.Source{URL: clients, CertificateFile: "certificate", KeyFile: "key"}, ""},
		{"what is not there", gitsource.Source{URL: clients, CertificateFile: certificate, KeyFile: key}, "is missing"},
		{"a key that is none", gitsource.Source{URL: clients, CertificateFile: "certificate", KeyFile: "password"}, "client certificate"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			o := f.options(t)
			tt.source.Files, tt.source.CAFile = files, "ca"
			o.Sources = []gitsource.Source{tt.source}
			r := open(t, o)
			if tt.want == "" {
				require.Equal(t, f.Head(), poll(t, r).Commit())
				return
			}
			err := r.Fetch(context.Background())
			require.ErrorContains(t, err, tt.want)
			require.NotContains(t, err.Error(), "pass")
		})
	}
}
