package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-fleet/holdfast/bootstrap"
	"github.com/holdfast-fleet/holdfast/bootstrap/embedded/embeddedtest"
	"github.com/holdfast-fleet/holdfast/content"
	"github.com/holdfast-fleet/holdfast/gitsource"
	"github.com/holdfast-fleet/holdfast/gitsource/gitsourcetest"
	"github.com/holdfast-fleet/holdfast/identity"
	"github.com/holdfast-fleet/holdfast/reconciler"
	"github.com/holdfast-fleet/holdfast/render"
)

// A line is the whole of Holdfast around one host: a fleet in a real repository
// behind real smart HTTP, the agent as its command runs it, and the embedded
// distribution's API server.
type line struct {
	t        testing.TB
	root     string // of the module
	repo     *gitsourcetest.Repo
	owner    *gitsourcetest.Key
	embedded string
	opts     agentOptions
	stop     func()
}

// newLine makes a line whose fleet is still empty.
func newLine(t testing.TB) *line {
	t.Helper()
	root, err := filepath.Abs("../..")
	require.NoError(t, err)
	dir, err := os.MkdirTemp("", "hf") // short, for the sockets below it
	require.NoError(t, err)
	l := &line{t: t, root: root, embedded: filepath.Join(root, "build", "embedded"), stop: func() {}}
	l.repo = gitsourcetest.InitRepo(t, filepath.Join(dir, "fleet"))
	l.owner = gitsourcetest.NewOpenPGPKey(t, gitsourcetest.OpenPGP{Email: "platform@example.com"})
	anchor := filepath.Join(dir, "anchor.asc")
	require.NoError(t, os.WriteFile(anchor, []byte(l.owner.Public()), 0o600))
	l.opts = agentOptions{
		anchor: anchor, branch: "main", dataDir: filepath.Join(dir, "host"), bundles: []string{filepath.Join(dir, "stick")},
		sources:  []gitsource.Source{{URL: gitsourcetest.Serve(t, dir) + "/fleet"}},
		interval: 100 * time.Millisecond, logFormat: "text",
	}
	t.Cleanup(func() {
		l.stop()
		driver, err := bootstrap.For("embedded")
		require.NoError(t, err)
		require.NoError(t, driver.Reset(context.Background(), l.cluster()))
		require.NoError(t, os.RemoveAll(dir))
	})
	return l
}

// fillFleet copies the example fleet, made to need an API server alone: no
// pods run, so no Deployment has replicas.
func (l *line) fillFleet() {
	l.t.Helper()
	require.NoError(l.t, os.CopyFS(l.repo.Dir, os.DirFS(filepath.Join(l.root, "fleet-example"))))
	const dist = "profiles/web-shop/distribution/distribution.yaml"
	l.edit(dist, "apiPort: 6443\n", fmt.Sprintf("apiPort: %d\n  controlPlane: true\n", embeddedtest.Ports(l.t, 1)[0]))
	l.edit("sites/emea/store-042/site.yaml", "  variables:\n", "  variables:\n    REPLICAS: 0\n")
	l.repo.Write("trust/platform.asc", l.owner.Public())
	l.fillStore("web-shop")
}

// fillStore gives the host what the example's web app and an API server need,
// and locks it for the profile.
func (l *line) fillStore(profile string) {
	l.t.Helper()
	store := filepath.Join(l.opts.dataDir, "content")
	require.NoError(l.t, os.MkdirAll(l.opts.dataDir, 0o700))
	s, err := content.Open(store)
	require.NoError(l.t, err)
	files, err := filepath.Glob(filepath.Join(l.embedded, "[a-z]*"))
	require.NoError(l.t, err)
	_, err = s.AddFiles("holdfast.dev/embedded/kubernetes:v1.36.3", files)
	require.NoError(l.t, err)
	web := filepath.Join(l.t.TempDir(), "web")
	l.build(web, "./fleet-example/app")
	_, err = s.AddProgram("holdfast.dev/example/web:1.0.0", web)
	require.NoError(l.t, err)
	l.holdfast("lock", profile, "--fleet", l.repo.Dir, "--store", store)
}

func (l *line) build(program string, args ...string) {
	l.t.Helper()
	cmd := exec.Command("go", append([]string{"build", "-o", program}, args...)...)
	cmd.Dir, cmd.Env = l.root, append(os.Environ(), "CGO_ENABLED=0")
	out, err := cmd.CombinedOutput()
	require.NoError(l.t, err, "%s", out)
}

func (l *line) edit(path, old, replacement string) {
	l.t.Helper()
	data, err := os.ReadFile(filepath.Join(l.repo.Dir, path))
	require.NoError(l.t, err)
	require.Contains(l.t, string(data), old, path)
	l.repo.Write(path, strings.Replace(string(data), old, replacement, 1))
}

func (l *line) cluster() string { return filepath.Join(l.opts.dataDir, "embedded") }

// holdfast runs a command at headquarters.
func (l *line) holdfast(args ...string) string {
	l.t.Helper()
	var out strings.Builder
	cmd := newRootCmd()
	cmd.SetArgs(args)
	cmd.SetOut(&out)
	require.NoError(l.t, cmd.ExecuteContext(context.Background()), "holdfast %v", args)
	return out.String()
}

func (l *line) commit(message string) string {
	return l.repo.Commit(gitsourcetest.Commit{By: l.owner, Message: message})
}

func (l *line) start() {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- runAgent(ctx, io.Discard, l.t.Output(), l.opts) }()
	l.stop = func() {
		cancel()
		require.NoError(l.t, <-done)
		l.stop = func() {}
	}
}

func (l *line) until(what string, want func(reconciler.Status) bool) reconciler.Status {
	l.t.Helper()
	deadline := time.Now().Add(5 * time.Minute)
	for {
		st, err := reconciler.ReadStatus(l.opts.dataDir)
		if err == nil && want(st) {
			return st
		}
		if time.Now().After(deadline) {
			l.t.Fatalf("not within 5 minutes: %s\nstatus %+v", what, st)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func (l *line) runs(commit string) reconciler.Status {
	l.t.Helper()
	return l.until("runs "+commit, func(st reconciler.Status) bool {
		return st.Settled && st.Confirmed != nil && st.Confirmed.Revision == commit
	})
}

func (l *line) refuses(phase reconciler.Phase, why string) {
	l.t.Helper()
	l.until("refuses: "+why, func(st reconciler.Status) bool {
		return slices.ContainsFunc(st.Failures, func(f reconciler.Failure) bool { return f.Phase == phase && strings.Contains(f.Message, why) })
	})
}

func (l *line) kubectl(args ...string) string {
	l.t.Helper()
	kubeconfig := filepath.Join(l.cluster(), "kubeconfig", "admin.json")
	out, err := exec.Command(filepath.Join(l.embedded, "kube"), append([]string{"kubectl", "--kubeconfig", kubeconfig}, args...)...).CombinedOutput()
	require.NoError(l.t, err, "kubectl %v: %s", args, out)
	return strings.TrimSpace(string(out))
}

// reportsWhatHeadquartersSays compares the digests in a host's status with those
// that commands at headquarters compute of the commit that it runs.
func (l *line) reportsWhatHeadquartersSays(st reconciler.Status, host string) {
	l.t.Helper()
	require.Equal(l.t, l.repo.Head(), st.Confirmed.Revision)
	var said []hostDigests
	require.NoError(l.t, json.Unmarshal([]byte(l.holdfast("render", host, "--fleet", l.repo.Dir, "--digests", "-o", "json")), &said))
	require.Len(l.t, said, 1)
	require.Equal(l.t, said[0].Cluster, st.Confirmed.Cluster)
	require.Equal(l.t, said[0].Node, st.Confirmed.Node)
	var reported []render.LayerDigest
	for _, layer := range st.Layers {
		reported = append(reported, render.LayerDigest{Name: layer.Name, Digest: layer.Digest})
	}
	require.ElementsMatch(l.t, said[0].Layers, reported)

	var whole render.Desired
	require.NoError(l.t, json.Unmarshal([]byte(l.holdfast("render", host, "--fleet", l.repo.Dir, "-o", "json")), &whole))
	require.Equal(l.t, st.Confirmed.Cluster, whole.Cluster.Digest)
	require.Equal(l.t, st.Confirmed.Node, whole.Node.Digest)
	for _, layer := range whole.Cluster.Layers {
		require.Contains(l.t, reported, render.LayerDigest{Name: layer.Name, Digest: layer.Digest})
	}
}

func TestTheWholeLine(t *testing.T) {
	t.Parallel()
	l := newLine(t)
	l.fillFleet()
	l.commit("Begin the fleet")
	l.start()
	l.refuses(reconciler.PhaseLoad, "not registered")

	id, err := identity.Load(filepath.Join(l.opts.dataDir, "identity"))
	require.NoError(t, err)
	l.holdfast("register", "--fleet", l.repo.Dir, "--site", "sites/emea/store-042", "--host", "store-042-a", "--key", id.PublicKey())
	registered := l.commit("Register store-042-a")
	st := l.runs(registered)
	require.Len(t, st.Layers, 4)
	require.Equal(t, "EUR", l.kubectl("-n", "shop", "get", "pricelists", "-o", "jsonpath={.items[0].spec.currency}"), "a custom resource of a CRD of the same commit")
	l.reportsWhatHeadquartersSays(st, "store-042-a")

	l.edit("sites/emea/store-042/site.yaml", "Guten Tag", "Moin")
	changed := l.commit("Greet as they do up north")
	l.reportsWhatHeadquartersSays(l.runs(changed), "store-042-a")
	require.Contains(t, l.kubectl("-n", "shop", "get", "deployment", "web", "-o", "yaml"), "Moin")

	l.kubectl("-n", "shop", "delete", "service", "web")
	l.until("repairs the deletion", func(st reconciler.Status) bool { return st.Repairs > 0 })
	l.kubectl("-n", "shop", "get", "service", "web")

	l.edit("sites/emea/store-042/site.yaml", "Moin", "Free beer")
	l.repo.Commit(gitsourcetest.Commit{Message: "Free beer"})
	l.refuses(reconciler.PhaseVerify, "not signed")
	require.NotContains(t, l.kubectl("-n", "shop", "get", "deployment", "web", "-o", "yaml"), "Free beer")
	l.repo.Git("reset", "-q", "--hard", changed)

	l.stop()
	l.opts.sources = nil
	l.start()
	l.runs(changed)
	l.edit("sites/emea/store-042/site.yaml", "Moin", "Ahoy")
	carried := l.commit("Greet as they do at sea")
	require.NoError(t, os.MkdirAll(l.opts.bundles[0], 0o755))
	l.holdfast("bundle", "create", filepath.Join(l.opts.bundles[0], "fleet.bundle"), "--fleet", l.repo.Dir)
	l.runs(carried)
	require.Contains(t, l.kubectl("-n", "shop", "get", "deployment", "web", "-o", "yaml"), "Ahoy")
}
