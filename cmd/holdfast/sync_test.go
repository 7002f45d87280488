package main

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-fleet/holdfast/gitsource/gitsourcetest"
	"github.com/holdfast-fleet/holdfast/identity"
	"github.com/holdfast-fleet/holdfast/reconciler"
)

// hand is a host without a network, and somebody with a stick.
type hand struct {
	t         *testing.T
	repo      *gitsourcetest.Repo
	owner     *gitsourcetest.Key
	data, dir string
	stopped   func()
}

func newHand(t *testing.T) *hand {
	h := &hand{t: t, repo: gitsourcetest.NewRepo(t), owner: gitsourcetest.NewSSHKey(t, "owner@example.com", "ed25519"), data: t.TempDir(), dir: t.TempDir()}
	id, err := identity.Load(filepath.Join(h.data, "identity"))
	require.NoError(t, err)
	files := goodFleet(id.PublicKey())
	files["trust/allowed_signers"] = h.owner.AllowedSigner("")
	h.repo.Commit(gitsourcetest.Commit{By: h.owner, Files: files})
	require.NoError(t, os.WriteFile(filepath.Join(h.dir, "anchor"), []byte(h.owner.AllowedSigner("")), 0o600))
	t.Cleanup(func() { h.stop() })
	return h
}

func (h *hand) start() {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	opts := agentOptions{anchor: filepath.Join(h.dir, "anchor"), branch: "main", dataDir: h.data, interval: time.Hour, logFormat: "text", bundles: []string{filepath.Join(h.dir, "nothing")}}
	go func() { done <- runAgent(ctx, io.Discard, h.t.Output(), opts) }()
	h.stopped = func() { cancel(); require.NoError(h.t, <-done) }
	h.accepts("")
}

func (h *hand) stop() {
	if h.stopped != nil {
		h.stopped()
		h.stopped = nil
	}
}

func (h *hand) accepts(commit string) {
	h.t.Helper()
	require.Eventually(h.t, func() bool {
		st, err := reconciler.ReadStatus(h.data)
		return err == nil && (commit == "" || st.Accepted != nil && st.Accepted.Revision == commit)
	}, time.Minute, 10*time.Millisecond)
}

// bundle writes the fleet as it is to the stick.
func (h *hand) bundle(name string, args ...string) string {
	path := filepath.Join(h.dir, name)
	_, err := h.holdfast(append([]string{"bundle", "create", path, "--fleet", h.repo.Dir}, args...)...)
	require.NoError(h.t, err)
	return path
}

func (h *hand) holdfast(args ...string) (string, error) {
	var out strings.Builder
	cmd := newRootCmd()
	cmd.SetArgs(args)
	cmd.SetOut(&out)
	ctx, cancel := context.WithTimeout(h.t.Context(), 2*time.Minute)
	defer cancel()
	err := cmd.ExecuteContext(ctx)
	return out.String(), err
}

func (h *hand) sync(from string) (string, error) {
	return h.holdfast("sync", "--from", from, "--data-dir", h.data)
}

func (h *hand) isEmpty() {
	h.t.Helper()
	left, err := filepath.Glob(filepath.Join(h.data, reconciler.Inbox, "*"))
	require.NoError(h.t, err)
	require.Empty(h.t, left, "what was judged is removed")
}

func TestWhatIsBroughtByHandIsTakenOnce(t *testing.T) {
	t.Parallel()
	h := newHand(t)
	_, err := h.sync(h.bundle("first.bundle"))
	require.ErrorContains(t, err, "no agent has run")
	h.start()
	out, err := h.sync(filepath.Join(h.dir, "first.bundle"))
	require.NoError(t, err)
	require.Equal(t, filepath.Join(h.dir, "first.bundle")+": accepted, "+h.repo.Head()[:12]+"\n", out)
	h.accepts(h.repo.Head())
	h.isEmpty()

	second := h.repo.Commit(gitsourcetest.Commit{By: h.owner, Files: map[string]string{"README.md": "second"}})
	h.bundle("b.bundle", "--since", second+"~1")
	third := h.repo.Commit(gitsourcetest.Commit{By: h.owner, Files: map[string]string{"README.md": "third"}})
	h.bundle("a.bundle", "--since", second)
	out, err = h.sync(h.dir)
	require.NoError(t, err, "of a folder, each after those that it builds on")
	require.Contains(t, out, "a.bundle: accepted, "+third[:12]+"\n")
	h.accepts(third)
	h.isEmpty()
	out, err = h.sync(filepath.Join(h.dir, "a.bundle"))
	require.NoError(t, err)
	require.Contains(t, out, "a.bundle: nothing new")

	h.stop()
	fourth := h.repo.Commit(gitsourcetest.Commit{By: h.owner, Files: map[string]string{"README.md": "fourth"}})
	require.NoError(t, bring(h.bundle("fourth.bundle"), filepath.Join(h.data, reconciler.Inbox, "fourth.bundle"), func(string) {}))
	h.start()
	h.accepts(fourth)
	require.Eventually(t, func() bool {
		left, err := os.ReadDir(filepath.Join(h.data, reconciler.Inbox))
		return err == nil && len(left) == 0
	}, time.Minute, 10*time.Millisecond)
}

func TestWhatIsBroughtByHandIsTrustedNoMoreThanASource(t *testing.T) {
	t.Parallel()
	h := newHand(t)
	h.start()
	old := h.bundle("old.bundle")
	_, err := h.sync(old)
	require.NoError(t, err)
	good := h.repo.Commit(gitsourcetest.Commit{By: h.owner, Files: map[string]string{"README.md": "good"}})
	_, err = h.sync(h.bundle("good.bundle"))
	require.NoError(t, err)
	h.accepts(good)

	_, err = h.sync(old)
	require.ErrorContains(t, err, "old.bundle: refused: older than the floor")
	h.repo.Commit(gitsourcetest.Commit{By: gitsourcetest.NewSSHKey(t, "stranger@example.com", "ed25519"), Files: map[string]string{"README.md": "bad"}})
	_, err = h.sync(h.bundle("bad.bundle"))
	require.ErrorContains(t, err, "bad.bundle: refused: unknown signer")
	require.NotEmpty(t, hint(err))
	h.repo.Git("reset", "-q", "--hard", good)
	h.repo.Commit(gitsourcetest.Commit{By: h.owner, Files: map[string]string{"README.md": "cut off"}})
	data, err := os.ReadFile(h.bundle("cut.bundle"))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(h.dir, "cut.bundle"), data[:len(data)-30], 0o600))
	_, err = h.sync(filepath.Join(h.dir, "cut.bundle"))
	require.ErrorContains(t, err, "cut.bundle: refused: ")
	require.ErrorContains(t, err, "truncated")
	h.isEmpty()
	h.accepts(good)

	for from, want := range map[string]string{
		filepath.Join(h.dir, "nowhere"): "no such file", t.TempDir(): "no file ends with .bundle", filepath.Join(h.dir, "anchor"): "not a Git bundle",
	} {
		_, err := h.sync(from)
		require.ErrorContains(t, err, want)
	}
}
