package kube

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/holdfast-fleet/holdfast/fleet"
	"github.com/holdfast-fleet/holdfast/render"
)

// undisturbed counts writes.
func (s *stand) undisturbed() *between {
	return s.disturb(func(int64, *http.Request) (*http.Response, error) { return nil, nil })
}

func testUpdate(t *testing.T, s *stand) {
	docs := []string{
		configMap("a", "x", "1"), configMap("b", "x", "1"), deployment("web"),
		"{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRole, metadata: {name: NS}, rules: []}",
	}
	value := func(b string) render.Layer {
		docs[1] = configMap("b", "x", b)
		return s.layer(t, "l", docs...)
	}
	certain := func(l render.Layer) {
		t.Helper()
		run, err := s.newRun(s.site, l)
		require.NoError(t, err)
		within(t, "the watches have seen all", func() bool {
			for _, it := range run.items {
				if a, _ := s.record.get(keyOf(it.object)); !s.eyes.certain(keyOf(it.object)).shows(a) {
					return false
				}
			}
			return true
		})
	}
	count := s.undisturbed()
	update := func(l render.Layer) (changes []string, writes int64, err error) {
		before := count.count.Load()
		changed, err := s.Update(t.Context(), s.site, l)
		return words(changed), count.count.Load() - before, err
	}
	s.mustApply(t, value("1"))
	changes, writes, err := update(value("2"))
	require.NoError(t, err)
	require.Equal(t, []string{"updated ConfigMap b"}, changes)
	require.EqualValues(t, 4, writes, "nothing is watched: nothing is certain")

	drifting, err := s.Watch(t.Context(), s.site, []render.Layer{value("2")})
	require.NoError(t, err)
	certain(value("2"))
	changes, writes, err = update(value("3"))
	require.NoError(t, err)
	require.Equal(t, []string{"updated ConfigMap b"}, changes)
	require.EqualValues(t, 1, writes, "the others are as they should be")

	certain(value("3"))
	s.edit(t, "a", "somebody", "x", "9")
	require.Equal(t, "l", next(t, drifting))
	changes, writes, err = update(value("4"))
	require.NoError(t, err)
	require.Equal(t, []string{"updated ConfigMap a", "updated ConfigMap b"}, changes, "what somebody else changed is put right")
	require.EqualValues(t, 2, writes)

	certain(value("4"))
	web := s.live(t, "apps/v1", "Deployment", "web")
	web.Object["spec"].(map[string]any)["paused"] = true // it is nobody's in the layer
	require.NoError(t, s.other.Update(t.Context(), web))
	within(t, "the watches have seen it", func() bool { return s.eyes.look(key{"apps", "Deployment", s.site, "web"}).place.generation > 1 })
	_, writes, err = update(value("4"))
	require.NoError(t, err)
	require.EqualValues(t, 1, writes, "whatever it was, the layer's word is sent again")

	ruled := value("4")
	ruled.Ignore = []fleet.Ignore{{Kind: "Deployment", Name: "web", Fields: []string{"/spec/replicas"}}}
	_, writes, err = update(ruled)
	require.NoError(t, err)
	require.GreaterOrEqual(t, writes, int64(4), "a rule may be about any of them")
	moved := value("4")
	moved.Name = "m"
	_, writes, err = update(moved)
	require.NoError(t, err)
	require.EqualValues(t, 4, writes, "an object's label says its layer")

	certain(moved)
	a := s.live(t, "v1", "ConfigMap", "a")
	a.SetFinalizers([]string{"example.com/hold"})
	require.NoError(t, s.other.Update(t.Context(), a))
	_, _, err = update(moved)
	require.NoError(t, err)
	certain(moved)
	require.NoError(t, s.other.Delete(t.Context(), a))
	within(t, "the watches have seen that it goes", func() bool { return s.eyes.look(keyOf(s.configMapName("a"))).place.leaving })
	for range 2 {
		_, _, err = update(moved)
		require.ErrorContains(t, err, "ConfigMap "+s.site+"/a", "what is on its way out is not in place")
	}
	a = s.live(t, "v1", "ConfigMap", "a")
	a.SetFinalizers(nil)
	require.NoError(t, s.other.Update(t.Context(), a))
}

// testUpdateAfterFailure looks at what was sent and not answered: it may be there or not.
func testUpdateAfterFailure(t *testing.T, s *stand) {
	server := s.undisturbed()
	sound := server.fault
	old, next := s.layer(t, "l", configMap("a", "x", "1")), s.layer(t, "l", configMap("a", "x", "2"))
	s.mustApply(t, old)
	_, err := s.Watch(t.Context(), s.site, []render.Layer{old})
	require.NoError(t, err)
	within(t, "it is watched", func() bool { return s.eyes.certain(keyOf(s.configMapName("a"))).state == there })
	server.fault = func(_ int64, req *http.Request) (*http.Response, error) {
		return refusal(req, http.StatusInternalServerError, metav1.StatusReasonInternalError, "Internal error occurred: no luck"), nil
	}
	_, err = s.Update(t.Context(), s.site, next)
	require.Error(t, err)
	server.fault = sound
	before := server.count.Load()
	_, err = s.Update(t.Context(), s.site, old)
	require.NoError(t, err)
	require.EqualValues(t, 1, server.count.Load()-before)
}

func TestEyesAreCertainWhileAStreamTellsThem(t *testing.T) {
	t.Parallel()
	c := &Cluster{eyes: newEyes(), record: newRecord()}
	k := &kindWatch{cluster: c, gvk: schema.GroupVersionKind{Version: "v1", Kind: "ConfigMap"}}
	c.eyes.kinds[k.gvk.GroupKind()] = k
	at := key{kind: "ConfigMap", namespace: "default", name: "a"}
	object := &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "a"}}
	state := func() sightState { return c.eyes.certain(at).state }
	pass := func(from *watch.FakeWatcher, to watch.Interface, kind watch.EventType) {
		from.Action(kind, object)
		<-to.ResultChan()
	}

	first := watch.NewFake()
	stream := k.stream(first, true)
	pass(first, stream, watch.Bookmark)
	require.Equal(t, unseen, state(), "it was told of all, but has not taken it in")
	require.NoError(t, k.Replace([]any{object}, ""))
	require.Equal(t, there, state())

	first.Stop()
	for range stream.ResultChan() { // until it ended
	}
	require.Equal(t, unseen, state(), "the stream broke")
	second := watch.NewFake()
	stream = k.stream(second, false)
	pass(second, stream, watch.Modified)
	require.Equal(t, unseen, state(), "more may follow that happened meanwhile")
	pass(second, stream, watch.Bookmark)
	within(t, "a bookmark says that this was all", func() bool { return state() == there })

	third := watch.NewFake()
	next := k.stream(third, false) // before the second has ended
	require.Equal(t, unseen, state())
	stream.Stop()
	for range stream.ResultChan() {
	}
	pass(third, next, watch.Bookmark)
	within(t, "the end of an older stream means nothing", func() bool { return state() == there })
	next.Stop()
	within(t, "it ended", func() bool { return state() == unseen })
}
