package gitsource_test

import (
	"context"
	"net/http"
	"net/http/httputil"
	"net/url"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-fleet/holdfast/gitsource"
	"github.com/holdfast-fleet/holdfast/gitsource/gitsourcetest"
)

func TestOneBadRemoteDoesNotHideAnother(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	garbage := gitsourcetest.ServeHandler(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/x-git-upload-pack-advertisement")
		w.Write([]byte("001e# service=git-upload-pack\n0000ffffgarbage"))
	}))
	empty := gitsourcetest.NewRepo(t)
	other := gitsourcetest.NewRepo(t)
	other.Commit(gitsourcetest.Commit{})
	other.Git("branch", "-m", "trunk")
	o := f.options(t)
	o.Sources = []gitsource.Source{
		{URL: "http://127.0.0.1:1/refused"}, {URL: garbage + "/x"}, {URL: gitsourcetest.Serve(t, empty.Dir)}, {URL: gitsourcetest.Serve(t, other.Dir)}, {URL: f.url},
	}
	r := open(t, o)
	err := r.Fetch(context.Background())
	for _, want := range []string{"fetch http://127.0.0.1:1/refused: ", "fetch " + garbage, "the repository is empty", "it has no branch main"} {
		require.ErrorContains(t, err, want)
	}
	rev, err := r.Verify(context.Background())
	require.NoError(t, err)
	require.Equal(t, f.Head(), rev.Commit())
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	for _, remote := range []string{"file:///srv/fleet", "/srv/fleet", "git@example.com:fleet", "ssh://example.com/fleet", "git://example.com/x", "ext::sh -c id", "http://", "https://u:secret@", "https://u:secret@example.com/fleet"} {
		o := f.options(t)
		o.Sources = []gitsource.Source{{URL: remote}}
		_, err := gitsource.Open(o)
		require.Error(t, err, remote)
		require.NotContains(t, err.Error(), "secret")
	}
	o := f.options(t)
	o.Anchor = nil
	_, err := gitsource.Open(o)
	require.ErrorContains(t, err, "anchor")

	o = f.options(t)
	open(t, o)
	_, err = gitsource.Open(o)
	require.ErrorContains(t, err, "another process has it open")
}

func TestARemoteMayNotSendTheHostToAFile(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	o := f.options(t)
	o.Sources = []gitsource.Source{{URL: gitsourcetest.ServeHandler(t, http.RedirectHandler("file:///etc/passwd", http.StatusFound)) + "/x"}}
	require.ErrorContains(t, open(t, o).Fetch(context.Background()), "unsupported")
}

func TestAPollWithNothingNewIsOneRoundTrip(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	target, err := url.Parse(f.url)
	require.NoError(t, err)
	target.Path = ""
	var requests atomic.Int32
	proxy := httputil.NewSingleHostReverseProxy(target)
	o := f.options(t)
	o.Sources = []gitsource.Source{{URL: gitsourcetest.ServeHandler(t, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		requests.Add(1)
		proxy.ServeHTTP(w, req)
	})) + "/fleet"}}
	r := open(t, o)
	poll(t, r)
	require.EqualValues(t, 2, requests.Swap(0), "the first contact")
	poll(t, r)
	require.EqualValues(t, 1, requests.Swap(0), "nothing new")
	f.Commit(gitsourcetest.Commit{})
	require.NoError(t, r.Fetch(context.Background()))
	_, err = r.Verify(context.Background())
	require.Error(t, err)
	require.EqualValues(t, 2, requests.Swap(0), "a bad commit")
	require.NoError(t, r.Fetch(context.Background()))
	require.EqualValues(t, 1, requests.Swap(0), "the same bad commit")
	f.Git("reset", "-q", "--hard", "HEAD^")
	f.Git("commit", "-q", "--amend", "--allow-empty", "-m", "rewritten")
	require.NoError(t, r.Fetch(context.Background()))
	require.EqualValues(t, 2, requests.Swap(0), "a rewritten history")
	require.NoError(t, r.Fetch(context.Background()))
	require.EqualValues(t, 1, requests.Swap(0), "the same rewritten history")
}

func TestTwoHonestRemotesAtDifferentCommits(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	lagging := filepath.Join(t.TempDir(), "lagging")
	f.Git("clone", "-q", "--bare", f.Dir, lagging)
	f.commit(map[string]string{"a": "2"})
	o := f.options(t)
	o.Sources = []gitsource.Source{{URL: gitsourcetest.Serve(t, lagging)}, {URL: f.url}}
	r := open(t, o)
	require.Equal(t, f.Head(), poll(t, r).Commit())
	require.Equal(t, f.Head(), poll(t, r).Commit(), "one that lags is no fault")
	newest := f.Head()
	f.Git("reset", "-q", "--hard", "HEAD^")
	rev, _ := pollRefused(t, r, gitsource.ErrOlder)
	require.Equal(t, newest, rev.Commit(), "both going back is one")
}
