package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
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
	"github.com/holdfast-fleet/holdfast/identity"
	"github.com/holdfast-fleet/holdfast/reconciler"
	"github.com/holdfast-fleet/holdfast/secrets"
)

// The agent as its command runs it follows a token that changes; it has no
// content, so it brings nothing up.
func TestTheAgentFollowsATokenThatChanges(t *testing.T) {
	t.Parallel()
	repo := gitsourcetest.NewRepo(t)
	owner := gitsourcetest.NewSSHKey(t, "owner@example.com", "ed25519")
	backend, err := gitsourcetest.Handler(filepath.Dir(repo.Dir))
	require.NoError(t, err)
	var good atomic.Value
	good.Store("old")
	ca := gitsourcetest.NewCA(t)
	url := ca.ServeTLS(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		token := strings.TrimPrefix(req.Header.Get("Authorization"), "Bearer ")
		if token == "" || !strings.Contains(good.Load().(string), token) {
			http.Error(w, "who are you", http.StatusUnauthorized)
			return
		}
		backend.ServeHTTP(w, req)
	}), false) + "/" + filepath.Base(repo.Dir)
	dir, data := t.TempDir(), t.TempDir()
	write := func(name, text string) string {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
		return filepath.Join(dir, name)
	}
	opts := agentOptions{
		anchor: write("anchor", owner.AllowedSigner("")), branch: "main", dataDir: data, interval: 50 * time.Millisecond, logFormat: "text",
		sources: []gitsource.Source{{URL: url, CAFile: ca.File, TokenFile: write("token", "old")}},
	}
	id, err := identity.Load(filepath.Join(data, "identity"))
	require.NoError(t, err)
	files := goodFleet(id.PublicKey())
	files["trust/allowed_signers"] = owner.AllowedSigner("")
	repo.Commit(gitsourcetest.Commit{By: owner, Files: files})

	run := func() (stop func()) {
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() { done <- runAgent(ctx, io.Discard, t.Output(), opts) }()
		return func() { cancel(); require.NoError(t, <-done) }
	}
	accepts := func(commit string) {
		t.Helper()
		require.Eventually(t, func() bool {
			st, err := reconciler.ReadStatus(data)
			return err == nil && st.Accepted != nil && st.Accepted.Revision == commit
		}, 2*time.Minute, 10*time.Millisecond)
	}
	stop := run()
	accepts(repo.Head())

	pem, err := os.ReadFile(ca.File)
	require.NoError(t, err)
	doc, err := secrets.Encrypt("sites/git.sops.yaml", []byte("token: new\n"), secrets.Rule{Recipients: []string{id.PublicKey()}}, time.Now())
	require.NoError(t, err)
	declared := repo.Commit(gitsourcetest.Commit{By: owner, Files: map[string]string{
		"bases/ca.pem": string(pem), "sites/git.sops.yaml": string(doc),
		"sites/group.yaml": fmt.Sprintf("apiVersion: holdfast.dev/v1alpha1\nkind: Group\nspec:\n  sources: [{git: %q, caFile: bases/ca.pem, credentials: sites/git.sops.yaml}]\n", url),
	}})
	accepts(declared)
	good.Store("old new")
	require.Eventually(t, func() bool {
		text, err := os.ReadFile(filepath.Join(data, "sources.json"))
		var kept struct{ Proven string }
		return err == nil && json.Unmarshal(text, &kept) == nil && kept.Proven == declared
	}, 2*time.Minute, 10*time.Millisecond)
	good.Store("new")
	accepts(repo.Commit(gitsourcetest.Commit{By: owner, Message: "by the new token"}))
	stop()
	stop = run()
	accepts(repo.Commit(gitsourcetest.Commit{By: owner, Message: "by the new token alone, after a restart"}))
	stop()
}
