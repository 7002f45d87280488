package reconciler_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-fleet/holdfast/fleet"
	"github.com/holdfast-fleet/holdfast/gitsource/gitsourcetest"
	"github.com/holdfast-fleet/holdfast/reconciler"
)

func TestAPinnedSiteRunsWhatTheTagNames(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	pin := func(tag, commit string) map[string]string {
		return map[string]string{"sites/store/site.yaml": object("Site", "store", fmt.Sprintf("spec: {profile: {name: shop, tag: %s, commit: %q}}\n", tag, commit))}
	}
	old := s.begin(map[string]string{"base": "|text"})
	s.repo.Tag(gitsourcetest.Tag{Name: "v1", By: s.key})
	next := s.commit(s.layers(map[string]string{"base": "|text more"}))
	pinned := s.commit(pin("v1", old))
	s.start()
	s.until("runs", runs(pinned))
	require.True(t, s.cluster.has("ConfigMap/text"))
	require.False(t, s.cluster.has("ConfigMap/more"), "the profile is that of the tag")

	s.repo.Tag(gitsourcetest.Tag{Name: "v2", On: next, By: s.key})
	moved := s.commit(pin("v2", next))
	s.until("follows the pin", runs(moved))
	require.True(t, s.cluster.has("ConfigMap/more"))

	s.commit(pin("v3", next))
	st := s.until("says why", fails(reconciler.PhaseLoad, "profile shop at tag v3: no signed tag v3 names commit"))
	require.Equal(t, moved, st.Confirmed.Revision)
}

func TestASiteOfSeveralHostsIsLeftAloneIfTheyCannotShareACluster(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	first := s.begin(map[string]string{"base": "|text"})
	s.start()
	s.until("runs", runs(first))
	said := len(s.cluster.said())
	other := "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
	s.commit(map[string]string{"sites/store/hosts/b.yaml": object("Host", "b", "spec: {role: worker, network: {address: 10.0.0.2}, identity: "+other+"}\n")})
	st := s.until("says why", fails(reconciler.PhaseRender, "sites/store/hosts/b.yaml: a cluster of type embedded has one host, and site store has 2"))
	require.Equal(t, first, st.Confirmed.Revision)
	require.Len(t, s.cluster.said(), said, "nothing may be touched")
}

func TestAHostThatIsBehindItsClusterChangesNothing(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	first := s.begin(map[string]string{"base": "|text"})
	const unknown = "5ca1ab1e00000000000000000000000000000000"
	s.cluster.inventory = reconciler.Inventory{Site: "store", Newest: unknown, Writer: "b"}
	s.start()
	st := s.until("says so", fails(reconciler.PhaseApply, "the cluster is at revision 5ca1ab1e0000, which host b brought"))
	require.Contains(t, st.Failures[0].Hint, "carry it there")
	require.Empty(t, s.cluster.said())

	s.cluster.set(func(c *fakeCluster) { c.inventory = reconciler.Inventory{} }) // etcd was restored from before
	s.until("goes on", runs(first))
}

func TestAHostMayUndoWhatItBeganWithNoMirrorAtHand(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	first := s.begin(map[string]string{"base": "|text"})
	s.start()
	s.until("runs", runs(first))
	s.cluster.set(func(c *fakeCluster) { c.unhealthy["base"] = true })
	second := s.commit(s.layers(map[string]string{"base": "|text more"}))
	s.until("begins the second", func(reconciler.Status) bool { return s.cluster.has("ConfigMap/more") })
	s.end()

	require.Equal(t, second, s.cluster.inventory.Newest)
	require.NoError(t, os.RemoveAll(filepath.Join(s.dir, "source")))
	s.url = "http://127.0.0.1:1/nobody"
	s.cluster.set(func(c *fakeCluster) { clear(c.objects); clear(c.unhealthy) })
	s.start()
	s.until("runs the first", func(st reconciler.Status) bool { return st.Settled && s.cluster.has("ConfigMap/text") })
	require.False(t, s.cluster.has("ConfigMap/more"))
}

func TestAWorkerHasANodeAndAppliesNothing(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.driver.shares = true
	s.begin(map[string]string{"base": "|text"})
	other := "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
	commit := s.commit(map[string]string{
		"sites/store/hosts/a.yaml": object("Host", "a", fmt.Sprintf("spec: {identity: %q, role: worker, network: {address: 10.0.0.1}}\n", s.id.PublicKey())),
		"sites/store/hosts/b.yaml": object("Host", "b", "spec: {role: control-plane, network: {address: 10.0.0.2}, identity: "+other+"}\n"),
	})
	s.start()
	s.until("runs", runs(commit))
	require.Empty(t, s.cluster.said())

	promoted := s.commit(map[string]string{"sites/store/hosts/a.yaml": s.host()}, "sites/store/hosts/b.yaml")
	s.until("applies once it is a control-plane host", runs(promoted))
	require.True(t, s.cluster.has("ConfigMap/text"))
}

func TestAFollowerKeepsWhatTheLeaderConfirmedAndTakesOver(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.driver.shares = true
	commit := s.begin(map[string]string{"base": "|text"})
	s.cluster.led(reconciler.Leader{Host: "b"})
	s.start()
	st := s.until("waits for the leader", func(st reconciler.Status) bool { return st.Leader == "b" })
	require.False(t, st.Settled)
	s.cluster.set(func(c *fakeCluster) {
		c.inventory.Site, c.inventory.Revision, c.inventory.Version = "store", commit, "1"
	})
	s.until("keeps it", runs(commit))
	require.False(t, s.cluster.has("ConfigMap/text"))

	s.cluster.led(reconciler.Leader{Host: "a", Mine: true})
	s.until("takes over", func(st reconciler.Status) bool { return st.Leader == "" && st.Settled && len(st.Layers) == 1 })
	require.True(t, s.cluster.has("ConfigMap/text"))

	s.cluster.led(reconciler.Leader{Host: "b"})
	s.until("gives way", func(st reconciler.Status) bool { return st.Leader == "b" && st.Layers == nil })

	s.cluster.set(func(c *fakeCluster) { c.inventory.Newest, c.inventory.Writer = strings.Repeat("5ca1ab1e", 5), "b" })
	s.until("does not know who leads, once it is behind", func(st reconciler.Status) bool {
		return fails(reconciler.PhaseApply, "which host b brought")(st) && st.Leader == ""
	})
}

func TestALeaseThatNobodyCanTakeIsAFailureWithItsReason(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	commit := s.begin(map[string]string{"base": "|text"})
	s.cluster.led(reconciler.Leader{Err: fmt.Errorf("write Lease: the webhook says no: %w", reconciler.ErrGuarded)})
	s.start()
	s.until("says why", fails(reconciler.PhaseApply, "write Lease: the webhook says no"))
	require.False(t, s.cluster.has("ConfigMap/text"))
	s.cluster.led(reconciler.Leader{Host: "a", Mine: true})
	s.until("goes on at once", runs(commit))
}

func TestAHostThatIsRemovedBeforeItConfirmedARevisionLeavesToo(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.driver.shares = true
	s.driver.set(func(d *fakeDriver) { d.err = errors.New("its node is not Ready yet") })
	const other = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
	s.begin(map[string]string{"base": "|text"})
	s.commit(map[string]string{"sites/store/hosts/b.yaml": object("Host", "b", "spec: {role: worker, network: {address: 10.0.0.12}, identity: "+other+"}\n")})
	s.start()
	s.until("is half made", fails(reconciler.PhaseBootstrap, "its node is not Ready yet"))

	s.commit(map[string]string{
		"sites/store/hosts/a.yaml": strings.Replace(s.host(), "role: control-plane", "role: control-plane, state: removed", 1),
		"sites/store/hosts/b.yaml": object("Host", "b", "spec: {network: {address: 10.0.0.12}, identity: "+other+"}\n"),
	})
	s.until("is not what it was to be", fails(reconciler.PhaseLoad, "this host is removed"))
	s.until("has no node", func(reconciler.Status) bool {
		var left []string
		s.driver.set(func(d *fakeDriver) { left = d.left })
		return slices.Equal(left, []string{"a to b"})
	})
	require.NoDirExists(t, filepath.Join(s.dir, fleet.Embedded))
}

func TestARemovedHostLeavesOnceTheOthersHaveLetItGo(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.driver.shares = true
	const other = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
	s.begin(map[string]string{"base": "|text"})
	commit := s.commit(map[string]string{"sites/store/hosts/b.yaml": object("Host", "b", "spec: {role: worker, network: {address: 10.0.0.12}, identity: "+other+"}\n")})
	s.start()
	s.until("runs", runs(commit))

	s.driver.set(func(d *fakeDriver) { d.stays = errors.New("still on the list of nodes") })
	s.commit(map[string]string{
		"sites/store/hosts/a.yaml": strings.Replace(s.host(), "role: control-plane", "role: control-plane, state: removed", 1),
		"sites/store/hosts/b.yaml": object("Host", "b", "spec: {network: {address: 10.0.0.12}, identity: "+other+"}\n"),
	})
	st := s.until("waits to be let go", fails(reconciler.PhaseBootstrap, "still on the list of nodes"))
	require.True(t, fails(reconciler.PhaseLoad, "sites/store/hosts/a.yaml: this host is removed")(st))
	require.Equal(t, commit, st.Confirmed.Revision, "until then it is what it was")

	s.driver.set(func(d *fakeDriver) { d.stays = nil })
	st = s.until("leaves", func(st reconciler.Status) bool { return st.Confirmed == nil })
	require.Empty(t, st.Kubeconfig)
	s.driver.set(func(d *fakeDriver) { require.Equal(t, []string{"a to b"}, d.left) })
	s.end()
	require.NoFileExists(t, filepath.Join(s.dir, "confirmed.json"), "it does not come back by itself")
	s.start()
	s.until("stays away", fails(reconciler.PhaseLoad, "this host is removed"))
}
