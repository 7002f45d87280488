package reconciler_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

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

func TestASiteOfSeveralHostsIsLeftAlone(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	first := s.begin(map[string]string{"base": "|text"})
	s.start()
	s.until("runs", runs(first))
	said := len(s.cluster.said())
	other := "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
	s.commit(map[string]string{"sites/store/hosts/b.yaml": object("Host", "b", "spec: {role: worker, identity: "+other+"}\n")})
	st := s.until("says why", fails(reconciler.PhaseLoad, "sites/store/hosts/b.yaml: agents of this version run sites of one host, and store has 2"))
	require.Equal(t, first, st.Confirmed.Revision)
	require.Len(t, s.cluster.said(), said, "nothing may be touched")
}
