package reconciler_test

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-fleet/holdfast/content"
	"github.com/holdfast-fleet/holdfast/durable"
	"github.com/holdfast-fleet/holdfast/gitsource"
	"github.com/holdfast-fleet/holdfast/gitsource/gitsourcetest"
	"github.com/holdfast-fleet/holdfast/identity"
	"github.com/holdfast-fleet/holdfast/reconciler"
	"github.com/holdfast-fleet/holdfast/secrets"
	"github.com/holdfast-fleet/holdfast/trust"
)

// A stage is a host with a real fleet repository, and a cluster that can be
// told to misbehave.
type stage struct {
	t       *testing.T
	repo    *gitsourcetest.Repo
	key     *gitsourcetest.Key
	url     string
	sources []gitsource.Source // empty: the one at url
	dir     string
	id      *identity.Identity
	cluster *fakeCluster
	driver  *fakeDriver
	end     func()

	interval time.Duration // 0: a short one
	disk     durable.Disk
	now      func() time.Time // nil: the machine's clock
	log      *slog.Logger     // nil discards
}

func newStage(t *testing.T) *stage {
	s := &stage{t: t, dir: t.TempDir(), cluster: newFakeCluster(), driver: &fakeDriver{}, end: func() {}}
	s.repo = gitsourcetest.NewRepo(t)
	s.key = gitsourcetest.NewSSHKey(t, "owner@example.com", "ed25519")
	s.url = gitsourcetest.Serve(t, filepath.Dir(s.repo.Dir)) + "/" + filepath.Base(s.repo.Dir)
	var err error
	s.id, err = identity.Load(filepath.Join(s.dir, "identity"))
	require.NoError(t, err)
	t.Cleanup(func() { s.end() })
	return s
}

// commit writes files over the fleet and signs; it returns the commit.
func (s *stage) commit(files map[string]string, remove ...string) string {
	return s.repo.Commit(gitsourcetest.Commit{By: s.key, Files: files, Remove: remove})
}

// begin commits a fleet with this host in it, and the given layers.
func (s *stage) begin(layers map[string]string) string {
	files := map[string]string{
		"fleet.yaml":            object("Fleet", "shops", ""),
		"trust/allowed_signers": s.key.AllowedSigner(""),
		"profiles/shop/distribution/kustomization.yaml": "resources: [distribution.yaml]\n",
		"profiles/shop/distribution/distribution.yaml":  object("Distribution", "shop", "spec: {type: embedded, version: v1.36.3}\n"),
		"sites/store/site.yaml":                         object("Site", "store", "spec: {profile: shop}\n"),
		"sites/store/hosts/a.yaml":                      s.host(),
	}
	for path, text := range s.layers(layers) {
		files[path] = text
	}
	return s.commit(files)
}

func (s *stage) host() string {
	return object("Host", "a", fmt.Sprintf("spec: {identity: %q, role: control-plane, network: {address: 10.0.0.11}}\n", s.id.PublicKey()))
}

// layers writes a profile of layers, each "settings|ConfigMap names".
func (s *stage) layers(layers map[string]string) map[string]string {
	files := map[string]string{}
	var list strings.Builder
	for _, name := range sortedKeys(layers) {
		settings, names, _ := strings.Cut(layers[name], "|")
		fmt.Fprintf(&list, "    - {name: %s%s}\n", name, settings)
		files["profiles/shop/addons/"+name+"/kustomization.yaml"] = "resources: [objects.yaml]\n"
		var objects strings.Builder
		for _, n := range strings.Fields(names) {
			version, kind := "v1", "ConfigMap"
			switch n {
			case "space":
				kind = "Namespace"
			case "guard":
				version, kind = "admissionregistration.k8s.io/v1", "ValidatingWebhookConfiguration"
			}
			fmt.Fprintf(&objects, "---\napiVersion: %s\nkind: %s\nmetadata: {name: %s}\n", version, kind, n)
		}
		files["profiles/shop/addons/"+name+"/objects.yaml"] = objects.String()
	}
	files["profiles/shop/profile.yaml"] = object("Profile", "shop", "spec:\n  layers:\n"+list.String())
	return files
}

func sortedKeys(m map[string]string) []string {
	var keys []string
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

func object(kind, name, rest string) string {
	return fmt.Sprintf("apiVersion: holdfast.dev/v1alpha1\nkind: %s\nmetadata: {name: %s}\n%s", kind, name, rest)
}

// start runs an agent; a former one must have ended.
func (s *stage) start() {
	anchor, err := trust.ParseKeyring(map[string][]byte{"anchor": []byte(s.key.AllowedSigner(""))})
	require.NoError(s.t, err)
	staged := s.sources
	if staged == nil {
		staged = []gitsource.Source{{URL: s.url}}
	}
	repo, err := gitsource.Open(gitsource.Options{Dir: filepath.Join(s.dir, "source"), Sources: staged, Anchor: anchor})
	require.NoError(s.t, err)
	opens, err := secrets.HostIdentity(s.id.PrivateKey())
	require.NoError(s.t, err)
	store, err := content.Open(filepath.Join(s.dir, "content"))
	require.NoError(s.t, err)
	r := reconciler.Reconciler{
		Dir: s.dir, Disk: s.disk, Now: s.now, Log: s.log, Identity: s.id.PublicKey(), Fingerprint: s.id.Fingerprint(), Source: repo, Content: store,
		Staged: staged, Login: s.id.Signer(), Secrets: opens,
		Interval: cmp.Or(s.interval, 50*time.Millisecond),
		Driver:   func(string) (reconciler.Driver, error) { return s.driver, nil },
		Connect:  func(string) (reconciler.Cluster, error) { return s.cluster, nil },
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	s.end = func() {
		cancel()
		require.NoError(s.t, <-done, "an agent that is told to end ends without an error")
		require.NoError(s.t, repo.Close())
		s.end = func() {}
	}
}

// until waits for a status.
func (s *stage) until(what string, want func(st reconciler.Status) bool) reconciler.Status {
	s.t.Helper()
	deadline := time.Now().Add(2 * time.Minute)
	for {
		st, err := reconciler.ReadStatus(s.dir)
		if err == nil && want(st) {
			return st
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("not within two minutes: %s\nstatus %+v\nthe cluster saw %q", what, st, s.cluster.said())
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func runs(commit string) func(reconciler.Status) bool {
	return func(st reconciler.Status) bool {
		return st.Healthy() && st.Confirmed != nil && st.Confirmed.Revision == commit
	}
}

func fails(phase reconciler.Phase, why string) func(reconciler.Status) bool {
	return func(st reconciler.Status) bool {
		return slices.ContainsFunc(st.Failures, func(f reconciler.Failure) bool { return f.Phase == phase && strings.Contains(f.Message, why) })
	}
}

func TestANewCommitIsAppliedAndConfirmed(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	first := s.begin(map[string]string{"base": "|text"})
	s.start()
	st := s.until("first commit runs", runs(first))
	require.Equal(t, "store", st.Site)
	require.Equal(t, "a", st.Host)
	require.Equal(t, "owner@example.com", st.Confirmed.Signer)
	require.True(t, s.cluster.has("ConfigMap/text"))

	second := s.commit(s.layers(map[string]string{"base": "|text more"}))
	s.until("second commit runs", runs(second))
	require.True(t, s.cluster.has("ConfigMap/more"))
}

func TestAnUnregisteredHostWaitsForItsCommit(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.begin(map[string]string{"base": "|text"})
	s.commit(nil, "sites/store/hosts/a.yaml")
	s.start()
	st := s.until("waits", fails(reconciler.PhaseLoad, "not registered"))
	require.Contains(t, st.Failures[0].Hint, s.id.Fingerprint())
	require.Empty(t, s.cluster.said(), "nothing may be touched")

	registered := s.commit(map[string]string{"sites/store/hosts/a.yaml": s.host()})
	s.until("runs once it is registered", runs(registered))
}

// TestAHostThatWaitsAsksOften: somebody stands before it. Once it has what it waited for, it asks at its interval.
func TestAHostThatWaitsAsksOften(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.interval = time.Hour
	s.begin(map[string]string{"base": "|text"})
	s.commit(nil, "sites/store/hosts/a.yaml")
	s.start()
	asksWithin := func(span time.Duration) func(reconciler.Status) bool {
		return func(st reconciler.Status) bool {
			return len(st.Sources) == 1 && !st.Sources[0].Next.IsZero() && st.Sources[0].Next.Sub(st.Sources[0].Asked) < span
		}
	}
	st := s.until("waits", fails(reconciler.PhaseLoad, "not registered"))
	require.True(t, asksWithin(12*time.Second)(st), "%+v", st.Sources)

	registered := s.commit(map[string]string{"sites/store/hosts/a.yaml": s.host()})
	s.until("runs some seconds after it is registered", runs(registered))
	s.until("asks at its interval", func(st reconciler.Status) bool { return !asksWithin(50 * time.Minute)(st) })
}

func TestAHostThatWaitsSaysWhichContentIsNotWhole(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.begin(map[string]string{"base": "|text"})
	s.commit(nil, "sites/store/hosts/a.yaml")
	store, err := content.Open(filepath.Join(s.dir, "content"))
	require.NoError(t, err)
	program := filepath.Join(t.TempDir(), "program")
	require.NoError(t, os.WriteFile(program, []byte("whole"), 0o755))
	_, err = store.AddFiles("example.com/programs:v1", []string{program})
	require.NoError(t, err)
	blob := fmt.Sprintf("content/blobs/sha256/%x", sha256.Sum256([]byte("whole")))
	require.NoError(t, os.WriteFile(filepath.Join(s.dir, blob), []byte("holed"), 0o600))

	s.start()
	s.until("waits", fails(reconciler.PhaseLoad, "not registered"))
	st := s.until("says what is not whole", fails(reconciler.PhaseLoad, "content example.com/programs:v1"))
	require.Contains(t, st.Failures[0].Hint, s.id.Fingerprint())
	require.Contains(t, st.Failures[0].Hint, "holdfast content add")
}

func TestAHostThatIsNotListedAnyMoreFreezes(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	first := s.begin(map[string]string{"base": "|text"})
	s.start()
	s.until("runs", runs(first))
	said := len(s.cluster.said())
	s.commit(nil, "sites/store/hosts/a.yaml")
	st := s.until("freezes", fails(reconciler.PhaseLoad, "does not list this host"))
	require.Equal(t, first, st.Confirmed.Revision)
	require.Len(t, s.cluster.said(), said, "nothing may be touched")
}

func TestACommitThatDoesNotRenderChangesNothing(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	first := s.begin(map[string]string{"base": "|text"})
	s.start()
	s.until("runs", runs(first))

	s.commit(map[string]string{"profiles/shop/addons/base/kustomization.yaml": "resources: [missing.yaml]\n"})
	st := s.until("says why", fails(reconciler.PhaseRender, "missing.yaml"))
	require.Equal(t, first, st.Confirmed.Revision)
	require.True(t, s.cluster.has("ConfigMap/text"))

	s.commit(map[string]string{"profiles/shop/profile.yaml": "kind: Nonsense\n"})
	s.until("says why", fails(reconciler.PhaseLoad, "profile.yaml"))
	s.cluster.drift <- reconciler.Drift{Layer: "base"}
	mended := s.commit(s.layers(map[string]string{"base": "|text"}))
	s.until("a good commit heals", runs(mended))
}

func TestAFailingLayerHoldsUpOnlyWhatDependsOnIt(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.cluster.failing["bad"] = errors.New("ConfigMap x: admission webhook said no")
	commit := s.begin(map[string]string{"bad": "|x", "after": ", dependsOn: [bad]|later", "alone": "|z"})
	s.start()
	st := s.until("fails", fails(reconciler.PhaseApply, "layer bad (1 more wait for it): ConfigMap x: admission webhook said no"))
	states := map[string]reconciler.LayerState{}
	for _, l := range st.Layers {
		states[l.Name] = l.State
	}
	require.Equal(t, map[string]reconciler.LayerState{
		"bad": reconciler.LayerFailed, "after": reconciler.LayerBlocked, "alone": reconciler.LayerReady,
	}, states)
	require.Nil(t, st.Confirmed)
	require.Eventually(t, func() bool { return slices.Equal(s.cluster.holds(), []string{"alone", "bad"}) }, time.Minute, 5*time.Millisecond,
		"what is blocked is not repaired either: it was never applied")

	s.cluster.set(func(c *fakeCluster) { clear(c.failing) })
	s.until("goes on when the cause is gone", runs(commit))
	require.Eventually(t, func() bool { return slices.Equal(s.cluster.holds(), []string{"after", "alone", "bad"}) }, time.Minute, 5*time.Millisecond)
}

func TestALayerIsNotJudgedWhileANodeIsAway(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	first := s.begin(map[string]string{"base": ", timeout: 1s|text"})
	s.start()
	s.until("runs", runs(first))

	s.cluster.set(func(c *fakeCluster) {
		c.unhealthyWith, c.nodeAway = "ConfigMap/slow", errors.New("node b is not ready: Kubelet stopped posting node status")
	})
	next := s.commit(s.layers(map[string]string{"base": ", timeout: 1s|text slow"}))
	st := s.until("waits", fails(reconciler.PhaseApply, "not healthy after 1s"))
	require.Empty(t, st.Verdicts, "its pods may be on the node that is away")
	require.True(t, s.cluster.has("ConfigMap/slow"), "it stays")

	s.cluster.set(func(c *fakeCluster) { c.unhealthyWith = "" })
	s.until("goes on when the node is back", runs(next))
}

func TestALayerThatDoesNotBecomeHealthyIsPutBack(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	first := s.begin(map[string]string{"base": ", timeout: 1s|text", "after": ", dependsOn: [base]|page", "alone": "|other"})
	s.start()
	s.until("runs", runs(first))

	s.cluster.set(func(c *fakeCluster) { c.unhealthyWith = "ConfigMap/worse" })
	s.commit(s.layers(map[string]string{"base": ", timeout: 1s|text worse", "after": ", dependsOn: [base]|page next", "alone": "|other fine"}))
	st := s.until("rolls back", fails(reconciler.PhaseConfirm, "layer base stays as last confirmed: not healthy after 1s: ConfigMap text: not healthy"))
	require.Equal(t, first, st.Confirmed.Revision)
	states := map[string]reconciler.LayerState{}
	for _, l := range st.Layers {
		states[l.Name] = l.State
	}
	require.Equal(t, map[string]reconciler.LayerState{
		"base": reconciler.LayerKept, "after": reconciler.LayerKept, "alone": reconciler.LayerReady,
	}, states)
	require.Equal(t, "apply base", s.cluster.said()[len(s.cluster.said())-1], "the old one is applied again")
	require.False(t, s.cluster.has("ConfigMap/next"), "what depends on a bad layer stays too")
	require.True(t, s.cluster.has("ConfigMap/fine"), "an independent layer goes on")

	unrelated := s.commit(map[string]string{"README": "nothing to do with it"})
	s.until("the unrelated commit is accepted", func(st reconciler.Status) bool { return st.Accepted.Revision == unrelated })
	s.until("still rolled back", fails(reconciler.PhaseConfirm, "layer base stays"))
	tries := 0
	for _, call := range s.cluster.said() {
		if call == "wait worse" {
			tries++
		}
	}
	require.Equal(t, 1, tries, "a bad layer is not tried again for an unrelated commit")

	mended := s.commit(s.layers(map[string]string{"base": ", timeout: 1s|text better", "after": ", dependsOn: [base]|page next", "alone": "|other fine"}))
	s.until("a changed layer is tried", runs(mended))
	require.False(t, s.cluster.has("ConfigMap/worse"), "pruned once all is confirmed")
}

func TestPruningComesAfterConfirmationAndTakesIntent(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	first := s.begin(map[string]string{"base": "|space text old", "kept": ", prune: false|keep"})
	s.start()
	s.until("runs", runs(first))

	s.cluster.set(func(c *fakeCluster) { c.unhealthy["next"] = true })
	second := s.commit(s.layers(map[string]string{"base": "|text", "next": "|new"}))
	s.until("waits for health", func(st reconciler.Status) bool {
		return len(st.Layers) == 2 && st.Layers[1].State == reconciler.LayerWaiting
	})
	require.True(t, s.cluster.has("ConfigMap/old"), "nothing is deleted before the new is healthy")

	s.cluster.set(func(c *fakeCluster) { c.unhealthy["next"] = false })
	third := s.commit(map[string]string{"README": "interrupts the wait"})
	st := s.until("runs", runs(third))
	require.NotEqual(t, second, st.Confirmed.Revision)
	require.False(t, s.cluster.has("ConfigMap/old"), "left the fleet")
	require.True(t, s.cluster.has("Namespace/space"), "a Namespace takes intent")
	require.Equal(t, []reconciler.HeldObject{{
		Object: reconciler.Object{Version: "v1", Kind: "Namespace", Name: "space"}, Layer: "base",
		Why: "all that is in it goes with it", Do: `commit with the trailer "Allow-Prune: Namespace space"`,
	}}, st.Held)
	require.True(t, s.cluster.has("ConfigMap/keep"), "a layer that is not pruned")

	empty := s.commit(map[string]string{"profiles/shop/profile.yaml": object("Profile", "shop", "spec: {layers: []}\n")})
	s.until("an empty render runs", runs(empty))
	require.True(t, s.cluster.has("ConfigMap/text"), "an empty render deletes nothing")
}

func TestTheInventoryIsWrittenBeforeTheObjects(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	first := s.begin(map[string]string{"base": "|text"})
	s.start()
	s.until("runs", runs(first))
	require.Equal(t, []string{"inventory [base]", "apply base"}, s.cluster.said()[:2])
}

func TestACommitAppliesOnlyTheLayersThatItChanges(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	first := s.begin(map[string]string{"base": "|text", "shop": "|page"})
	s.start()
	s.until("runs", runs(first))
	before := len(s.cluster.said())
	second := s.commit(s.layers(map[string]string{"base": "|text", "shop": "|page more"}))
	s.until("runs", runs(second))
	require.Equal(t, []string{"inventory [base shop]", "update shop", "inventory [base shop]"}, s.cluster.said()[before:])
}

func TestDriftIsRepaired(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	first := s.begin(map[string]string{"base": "|text"})
	s.start()
	s.until("runs", runs(first))
	s.cluster.set(func(c *fakeCluster) { delete(c.objects, "ConfigMap/text") })
	s.cluster.drift <- reconciler.Drift{Layer: "base"}
	s.until("counts the repair", func(st reconciler.Status) bool { return st.Repairs == 1 })
	require.True(t, s.cluster.has("ConfigMap/text"))
}

func TestDriftIsRepairedWhileALayerIsWaitedFor(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.cluster.unhealthy["shop"] = true
	s.begin(map[string]string{"base": "|text", "later": ", dependsOn: [shop]|page", "shop": "|slow"})
	s.start()
	s.until("waits for health", func(st reconciler.Status) bool {
		return len(st.Layers) == 3 && st.Layers[0].State == reconciler.LayerReady && st.Layers[1].State == reconciler.LayerWaiting
	})
	for _, l := range []string{"later", "base", "shop"} {
		s.cluster.drift <- reconciler.Drift{Layer: l}
	}
	st := s.until("repairs what is written", func(reconciler.Status) bool { return slices.Contains(s.cluster.said(), "repair shop") })
	require.Equal(t, reconciler.LayerWaiting, st.Layers[1].State)
	require.Contains(t, s.cluster.said(), "repair base")
	require.NotContains(t, s.cluster.said(), "repair later", "it is not to be there before what it depends on")
}

func TestAHostAloneKeepsItsLastConfirmedRevision(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	first := s.begin(map[string]string{"base": "|text"})
	s.start()
	s.until("runs", runs(first))
	s.end()

	s.url = "http://127.0.0.1:1/nobody"
	s.cluster.set(func(c *fakeCluster) { clear(c.objects) })
	s.start()
	st := s.until("runs on without its source", func(st reconciler.Status) bool {
		return st.Settled && fails(reconciler.PhaseSource, "")(st)
	})
	require.Equal(t, first, st.Confirmed.Revision)
	require.True(t, s.cluster.has("ConfigMap/text"))
}

func TestMissingContentStopsBeforeAnythingChanges(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.driver.needs = []string{"holdfast.dev/embedded/kubernetes:v1.36.3"}
	s.begin(map[string]string{"base": "|text"})
	s.start()
	st := s.until("says what is missing", fails(reconciler.PhaseBootstrap, "kubernetes:v1.36.3 is not in the profile's content.lock"))
	require.Contains(t, st.Failures[0].Hint, "holdfast lock")
	s.commit(map[string]string{"profiles/shop/content.lock": "apiVersion: holdfast.dev/v1alpha1\nkind: ContentLock\nspec:\n  distribution:\n    holdfast.dev/embedded/kubernetes:v1.36.3: sha256:" + strings.Repeat("0", 64) + "\n"})
	st = s.until("says what is not there", fails(reconciler.PhaseBootstrap, "content holdfast.dev/embedded/kubernetes:v1.36.3: "))
	require.Contains(t, st.Failures[0].Hint, "holdfast content add --archive")
	require.Empty(t, s.cluster.said())
}

func TestTwoAgentsDoNotShareAFolder(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.begin(map[string]string{"base": "|text"})
	s.start()
	s.until("runs", func(st reconciler.Status) bool { return st.Settled })
	second := reconciler.Reconciler{Dir: s.dir}
	require.ErrorIs(t, second.Run(context.Background()), reconciler.ErrRunning)
}
