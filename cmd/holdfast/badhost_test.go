package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-fleet/holdfast/bootstrap"
	"github.com/holdfast-fleet/holdfast/content"
	"github.com/holdfast-fleet/holdfast/fleet"
	"github.com/holdfast-fleet/holdfast/gitsource"
	"github.com/holdfast-fleet/holdfast/gitsource/gitsourcetest"
	"github.com/holdfast-fleet/holdfast/identity"
	"github.com/holdfast-fleet/holdfast/reconciler"
	"github.com/holdfast-fleet/holdfast/render"
)

// memoryCluster keeps what is applied to it; the real one is tested elsewhere.
type memoryCluster struct {
	reconciler.Cluster // for what no test here needs
	mu                 sync.Mutex
	inventory          reconciler.Inventory
	layers             map[string]string // name → objects
	deleted            int
}

func (c *memoryCluster) Inventory(context.Context, string) (reconciler.Inventory, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.inventory, nil
}

func (c *memoryCluster) SaveInventory(_ context.Context, inv reconciler.Inventory) (reconciler.Inventory, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.inventory = inv
	return inv, nil
}

// Lead is this host's at once.
func (c *memoryCluster) Lead(ctx context.Context, _, host string) (<-chan reconciler.Leader, error) {
	leaders := make(chan reconciler.Leader, 1)
	leaders <- reconciler.Leader{Host: host, Mine: true}
	context.AfterFunc(ctx, func() { close(leaders) })
	return leaders, nil
}

func (c *memoryCluster) Verify(context.Context, string, []render.Layer) ([]reconciler.Drift, error) {
	return nil, nil
}

func (c *memoryCluster) Event(reconciler.Event) {}

func (c *memoryCluster) Apply(_ context.Context, _ string, l render.Layer) ([]reconciler.Change, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.layers[l.Name] = fmt.Sprintf("%s", l.Objects)
	return nil, nil
}

func (c *memoryCluster) Delete(_ context.Context, _ string, objects []reconciler.Object) ([]reconciler.Change, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.deleted += len(objects)
	return nil, nil
}

func (c *memoryCluster) Wait(context.Context, render.Layer) error { return nil }

func (c *memoryCluster) NodesReady(context.Context) error { return nil }

func (c *memoryCluster) Watch(context.Context, string, []render.Layer) (<-chan reconciler.Drift, error) {
	return make(chan reconciler.Drift), nil
}

func (c *memoryCluster) state() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return fmt.Sprint(c.layers, c.deleted)
}

// readyDriver brings nothing up.
type readyDriver struct{}

func (readyDriver) Needs(fleet.Distribution) []string { return nil }
func (readyDriver) Shares() bool                      { return false }

func (readyDriver) Backup(context.Context, string, string) error { return nil }

func (readyDriver) Ensure(context.Context, bootstrap.Request) (bootstrap.Access, error) {
	return bootstrap.Access{Kubeconfig: "kubeconfig"}, nil
}

// A badHost is a host that runs a good fleet and is given bad input.
type badHost struct {
	t       *testing.T
	repo    *gitsourcetest.Repo
	owner   *gitsourcetest.Key
	dir     string
	stick   string
	cluster *memoryCluster
	good    string // the commit it runs
}

func newBadHost(t *testing.T) *badHost {
	h := &badHost{t: t, dir: t.TempDir(), stick: t.TempDir(), cluster: &memoryCluster{layers: map[string]string{}}}
	h.repo = gitsourcetest.NewRepo(t)
	h.repo.Git("config", "core.fsync", "none") // ten thousand folders are that many objects
	h.owner = gitsourcetest.NewSSHKey(t, "owner@example.com", "ed25519")
	id, err := identity.Load(filepath.Join(h.dir, "identity"))
	require.NoError(t, err)
	files := goodFleet(id.PublicKey())
	files["trust/allowed_signers"] = h.owner.Public()
	h.good = h.commit(files)

	anchor := filepath.Join(t.TempDir(), "anchor")
	require.NoError(t, os.WriteFile(anchor, []byte(h.owner.Public()), 0o600))
	keys, err := readAnchor(anchor)
	require.NoError(t, err)
	staged := []gitsource.Source{{URL: gitsourcetest.Serve(t, h.repo.Dir)}}
	source, err := gitsource.Open(gitsource.Options{Dir: filepath.Join(h.dir, "source"), Anchor: keys,
		Sources: staged, BundleDirs: []string{h.stick}})
	require.NoError(t, err)
	store, err := content.Open(filepath.Join(h.dir, "content"))
	require.NoError(t, err)
	r := reconciler.Reconciler{
		Dir: h.dir, Identity: id.PublicKey(), Fingerprint: id.Fingerprint(), Source: source, Staged: staged, Content: store,
		Interval: 50 * time.Millisecond,
		Driver:   func(string) (reconciler.Driver, error) { return readyDriver{}, nil },
		Connect:  func(string) (reconciler.Cluster, error) { return h.cluster, nil },
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-done)
		require.NoError(t, source.Close())
	})
	h.runs(h.good)
	return h
}

func (h *badHost) commit(files map[string]string) string {
	return h.repo.Commit(gitsourcetest.Commit{By: h.owner, Files: files})
}

func (h *badHost) until(t *testing.T, what string, want func(reconciler.Status) bool) reconciler.Status {
	t.Helper()
	deadline := time.Now().Add(3 * time.Minute)
	for {
		st, err := reconciler.ReadStatus(h.dir)
		if err == nil && want(st) {
			return st
		}
		if time.Now().After(deadline) {
			t.Fatalf("not in time: %s\nstatus %+v", what, st)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func (h *badHost) runs(commit string) {
	h.t.Helper()
	h.until(h.t, "runs "+commit, func(st reconciler.Status) bool {
		return st.Healthy() && st.Confirmed != nil && st.Confirmed.Revision == commit
	})
}

// refuses waits for a failure that begins with want, in which %s stands for the
// source, and checks how it is said and that nothing changed. One that says
// more than one thing says each on a line of its own.
func (h *badHost) refuses(t *testing.T, want, before string) reconciler.Status {
	t.Helper()
	shown := func(f reconciler.Failure) string { return strings.ReplaceAll(f.Message, h.stick+"/", "stick/") }
	st := h.until(t, "refuses: "+want, func(st reconciler.Status) bool {
		return slices.ContainsFunc(st.Failures, func(f reconciler.Failure) bool { return strings.Contains(shown(f), want) })
	})
	for _, f := range st.Failures {
		requireReadable(t, shown(f))
		require.NotEmpty(t, f.Hint, shown(f))
		for tip := range strings.SplitSeq(f.Hint, "\n") {
			requireReadable(t, tip)
		}
	}
	require.Equal(t, h.good, st.Confirmed.Revision)
	require.Equal(t, before, h.state())
	return st
}

// state is what runs: the cluster's objects and what would be put back.
func (h *badHost) state() string {
	data, err := os.ReadFile(filepath.Join(h.dir, "confirmed.json"))
	require.NoError(h.t, err)
	var confirmed struct{ Desired json.RawMessage }
	require.NoError(h.t, json.NewDecoder(bytes.NewReader(data)).Decode(&confirmed))
	return h.cluster.state() + string(confirmed.Desired)
}

// heal commits the good fleet again, on top of a bad commit if that was accepted.
func (h *badHost) heal(accepted bool) {
	h.repo.Git("read-tree", "-u", "--reset", h.good)
	h.repo.Git("clean", "-fdxq")
	if !accepted {
		h.repo.Git("update-ref", "HEAD", h.good)
		h.runs(h.good)
		return
	}
	h.good = h.commitTree(h.good + "^{tree}")
	h.runs(h.good)
}

// commitTree commits a tree without "git commit", which looks into every folder
// and dies of the deepest of these trees.
func (h *badHost) commitTree(tree string) string {
	commit := h.repo.Git("-c", "gpg.format=ssh", "-c", "user.signingKey="+h.owner.PrivateFile(),
		"commit-tree", "-S", "-p", "HEAD", "-m", "change", tree)
	h.repo.Git("update-ref", "HEAD", commit)
	return commit
}

// One host is given all of it, one after the other, and must be well again in between.
func TestAHostKeepsWhatItRunsWhateverIsCommitted(t *testing.T) {
	t.Parallel()
	h := newBadHost(t)
	inputs := append(badInputs(), badInput{name: "a submodule", make: func(t *testing.T, _ string) {
		h.repo.Git("update-index", "--add", "--cacheinfo", "160000,"+h.good+",sites/module")
	}, want: "sites/module: submodules are not allowed in a fleet"})
	for _, tt := range inputs {
		ended := t.Run(tt.name, func(t *testing.T) {
			before := h.state()
			writeFiles(t, h.repo.Dir, tt.files)
			h.repo.Git("add", "-A")
			switch {
			case strings.Contains(tt.name, "folders in each other"):
				h.addDeepFile()
			case tt.make != nil:
				tt.make(t, h.repo.Dir)
				if tt.name != "a submodule" {
					h.repo.Git("add", "-A")
				}
			}
			h.commitTree(h.repo.Git("write-tree"))
			want := tt.want
			if tt.host != "" {
				want = tt.host
			}
			st := h.refuses(t, want, before)
			h.heal(st.Accepted.Revision != h.good)
		})
		require.True(t, ended, "the host is not well again: what follows would say nothing")
	}
}

// addDeepFile stages a file below 10,000 folders, which no file system call takes.
func (h *badHost) addDeepFile() {
	blob := h.repo.Git("rev-parse", "HEAD:fleet.yaml")
	h.repo.Git("update-index", "--add", "--cacheinfo", "100644,"+blob+",sites/"+strings.Repeat("d/", 10_000)+"f")
}

func TestAHostKeepsWhatItRunsWhoeverSigns(t *testing.T) {
	t.Parallel()
	h := newBadHost(t)
	old := time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, tt := range []struct {
		name, want string
		who        func() *gitsourcetest.Key // adds the key to the fleet, if it belongs there
	}{
		{"nobody", "not signed", func() *gitsourcetest.Key { return nil }},
		{"a stranger", "unknown signer: no SSH key SHA256:", func() *gitsourcetest.Key {
			return gitsourcetest.NewSSHKey(t, "owner@example.com", "ed25519")
		}},
		{"an expired key", "key or signature not valid at that time", func() *gitsourcetest.Key {
			bob := gitsourcetest.NewOpenPGPKey(t, gitsourcetest.OpenPGP{Email: "bob@example.com", Algorithm: "ed25519", Created: old, Lifetime: 24 * time.Hour})
			bob.SignAt(old.Add(time.Hour))
			h.good = h.commit(map[string]string{bob.File(): bob.Public()})
			return bob
		}},
		{"an expired SSH key", "key or signature not valid at that time", func() *gitsourcetest.Key {
			bob := gitsourcetest.NewSSHKey(t, "bob@example.com", "ed25519")
			h.good = h.commit(map[string]string{"trust/allowed_signers": h.owner.Public() + bob.AllowedSigner(`valid-before="20200101Z"`)})
			return bob
		}},
		{"a revoked key", "key revoked", func() *gitsourcetest.Key {
			bob := gitsourcetest.NewOpenPGPKey(t, gitsourcetest.OpenPGP{Email: "carol@example.com", Algorithm: "ed25519"})
			bob.RevokePublic()
			h.good = h.commit(map[string]string{bob.File(): bob.Public()})
			return bob
		}},
		{"a weak key", "weak key or signature: RSA key of fewer than 2048 bits", func() *gitsourcetest.Key {
			bob := gitsourcetest.NewSSHKey(t, "bob@example.com", "rsa-1024")
			h.good = h.commit(map[string]string{"trust/allowed_signers": h.owner.Public() + bob.Public()})
			return bob
		}},
		{"a weak OpenPGP key", "weak key or signature: RSA key of 1024 bits", func() *gitsourcetest.Key {
			bob := gitsourcetest.NewOpenPGPKey(t, gitsourcetest.OpenPGP{Email: "dave@example.com", Algorithm: "rsa1024"})
			h.good = h.commit(map[string]string{bob.File(): bob.Public()})
			return bob
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			key := tt.who()
			h.runs(h.good)
			before := h.state()
			h.repo.Commit(gitsourcetest.Commit{By: key, Files: map[string]string{siteFile: strings.Replace(goodFleet("")[siteFile], "hello", "stolen", 1)}})
			h.refuses(t, tt.want, before)
			h.repo.Git("reset", "-q", "--hard", h.good)
			h.runs(h.good)
		})
	}
}

func TestAHostKeepsWhatItRunsWhateverIsOnTheStick(t *testing.T) {
	t.Parallel()
	h := newBadHost(t)
	away := gitsourcetest.InitRepo(t, filepath.Join(t.TempDir(), "away")) // the server knows nothing of it
	away.Git("pull", "-q", h.repo.Dir, "main")
	parent := away.Commit(gitsourcetest.Commit{By: h.owner})
	last := away.Commit(gitsourcetest.Commit{By: h.owner})
	bundle := func(revs ...string) []byte {
		file := filepath.Join(t.TempDir(), "b")
		away.Bundle(file, revs...)
		data, err := os.ReadFile(file)
		require.NoError(t, err)
		return data
	}
	whole, part := bundle(), bundle("main^..main")
	_, pack, _ := bytes.Cut(whole, []byte("\n\n"))

	const missing = "0123456789012345678901234567890123456789"
	for name, tt := range map[string]struct {
		data []byte
		want string
	}{
		"no bundle":               {[]byte("hello\n"), "not a Git bundle of version 2 or 3"},
		"half of it":              {whole[:len(whole)/2], "truncated"},
		"without its last byte":   {whole[:len(whole)-1], "truncated"},
		"trailing bytes":          {append(slices.Clone(whole), "more"...), "4 bytes follow the pack"},
		"a lying header":          {append([]byte("# v2 git bundle\n"+missing+" refs/heads/main\n\n"), pack...), "refs/heads/main refers to " + missing + ", which is missing"},
		"a missing prerequisite":  {part, "missing prerequisite "},
		"a prerequisite made up":  {append([]byte("# v2 git bundle\n-"+missing+"\n"+parent+" refs/heads/main\n\n"), pack...), "missing prerequisite " + missing},
		"a header without an end": {[]byte("# v2 git bundle\n" + strings.Repeat("x", 5000)), "bundle header has an overlong line"},
	} {
		t.Run(name, func(t *testing.T) {
			before := h.state()
			path := filepath.Join(h.stick, "x.bundle")
			require.NoError(t, os.WriteFile(path, tt.data, 0o600))
			h.refuses(t, tt.want, before)
			require.NoError(t, os.Remove(path))
			h.runs(h.good)
		})
	}
	require.NoError(t, os.WriteFile(filepath.Join(h.stick, "x.bundle"), whole, 0o600))
	h.until(t, "takes the whole one", func(st reconciler.Status) bool {
		return st.Settled && st.Confirmed.Revision == last
	})
}
