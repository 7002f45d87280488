package kube

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/holdfast-fleet/holdfast/fleet"
	"github.com/holdfast-fleet/holdfast/reconciler"
)

func (s *stand) configMapName(name string) reconciler.Object {
	return reconciler.Object{Version: "v1", Kind: "ConfigMap", Namespace: s.site, Name: name}
}

func testFinalizer(t *testing.T, s *stand) {
	s.mustApply(t, s.layer(t, "l", `{apiVersion: v1, kind: ConfigMap, metadata: {name: a, namespace: NS, finalizers: [example.com/backup]}}`,
		"{apiVersion: v1, kind: Namespace, metadata: {name: NS-more}}"))
	objects := []reconciler.Object{s.configMapName("a"), {Version: "v1", Kind: "Namespace", Name: s.site + "-more"}}
	changes, err := s.Leaving(t.Context(), s.site, objects)
	require.NoError(t, err)
	require.Empty(t, changes, "nobody deleted them")
	for range 2 { // to ask again is to be told again
		changes, err := s.Delete(t.Context(), s.site, objects)
		require.NoError(t, err)
		require.Equal(t, []string{"deleting ConfigMap a", "deleting Namespace " + s.site + "-more"}, words(changes))
		require.Regexp(t, `^it is being deleted since .* UTC, held by example\.com/backup$`, changes[0].Why)
		leaving, err := s.Leaving(t.Context(), s.site, append(objects, s.configMapName("never-was")))
		require.NoError(t, err)
		require.Equal(t, append(words(changes), "deleted ConfigMap never-was"), words(leaving))
	}
	a := s.live(t, "v1", "ConfigMap", "a")
	a.SetFinalizers(nil)
	require.NoError(t, s.other.Update(t.Context(), a))
	changes, err = s.Delete(t.Context(), s.site, objects[:1])
	require.NoError(t, err)
	require.Empty(t, changes, "it is gone")

	// What the controller of namespaces says of one that is stuck.
	ns := &corev1.Namespace{}
	require.NoError(t, s.other.Get(t.Context(), client.ObjectKey{Name: s.site + "-more"}, ns))
	ns.Status.Conditions = []corev1.NamespaceCondition{{Type: corev1.NamespaceFinalizersRemaining, Status: corev1.ConditionTrue, Reason: "SomeFinalizersRemain",
		Message: "Some content in the namespace has finalizers remaining: example.com/hold in 1 resource instances"}}
	require.NoError(t, s.other.Status().Update(t.Context(), ns))
	changes, err = s.Delete(t.Context(), s.site, objects)
	require.NoError(t, err)
	require.ErrorContains(t, errorOf(changes), "example.com/hold in 1 resource instances")
}

// testHeldMany looks at ten of a kind in a single list, also at those that it cannot find so.
func testHeldMany(t *testing.T, s *stand) {
	held := tenMaps(t, s, "1")
	held.Objects = append(held.Objects, s.layer(t, "l", `{apiVersion: v1, kind: ConfigMap, metadata: {name: going, namespace: NS, finalizers: [example.com/backup]}}`).Objects...)
	s.mustApply(t, held)
	objects := []reconciler.Object{s.configMapName("going"), s.configMapName("never-was")}
	for n := range 10 {
		objects = append(objects, s.configMapName(fmt.Sprint("c", n)))
	}
	_, err := s.Delete(t.Context(), s.site, objects[:1])
	require.NoError(t, err)
	relabelled := s.live(t, "v1", "ConfigMap", "c3")
	relabelled.SetLabels(nil)
	require.NoError(t, s.other.Update(t.Context(), relabelled))

	asked := &asked{next: s.http.Transport}
	s.http.Transport = asked
	changes, err := s.Leaving(t.Context(), s.site, objects)
	require.NoError(t, err)
	require.Equal(t, []string{"deleting ConfigMap going", "deleted ConfigMap never-was"}, words(changes))
	require.EqualValues(t, 3, asked.times.Load(), "a list, and one look each at what carries no label and what is not there")
}

// asked counts requests.
type asked struct {
	next  http.RoundTripper
	times atomic.Int64
}

func (a *asked) RoundTrip(req *http.Request) (*http.Response, error) {
	a.times.Add(1)
	return a.next.RoundTrip(req)
}

// errorOf is why the last of changes is not what was asked for.
func errorOf(changes []reconciler.Change) error {
	return &reconciler.ObjectError{Object: changes[len(changes)-1].Object, Reason: changes[len(changes)-1].Why}
}

func testOrphan(t *testing.T, s *stand) {
	declared := strings.Replace(configMap("a", "x", "1"), "metadata: {", "metadata: {annotations: {"+PruneAnnotation+": disabled}, ", 1)
	s.mustApply(t, s.layer(t, "l", declared, configMap("b", "x", "1")))
	s.edit(t, "b", "an-operator", "more", "of its own")
	b := s.live(t, "v1", "ConfigMap", "b")
	b.SetLabels(map[string]string{fleet.SiteLabel: s.site, fleet.LayerLabel: "l", "app": "web"})
	b.SetAnnotations(map[string]string{PruneAnnotation: "disabled"})
	require.NoError(t, s.other.Update(t.Context(), b, client.FieldOwner("an-operator")))
	require.NoError(t, s.other.Create(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: s.site, Name: "foreign"}}))

	changes, err := s.Delete(t.Context(), s.site, []reconciler.Object{s.configMapName("a"), s.configMapName("b"), s.configMapName("foreign"), s.configMapName("never-was")})
	require.NoError(t, err)
	require.Equal(t, []string{"orphaned ConfigMap a", "orphaned ConfigMap b", "left alone ConfigMap foreign"}, words(changes))
	require.Equal(t, "its annotation holdfast.dev/prune says disabled", changes[0].Why)
	for _, name := range []string{"a", "b"} {
		u := s.live(t, "v1", "ConfigMap", name)
		require.NotContains(t, u.GetLabels(), fleet.SiteLabel)
		require.NotContains(t, u.GetLabels(), fleet.LayerLabel)
		for _, e := range u.GetManagedFields() {
			require.NotEqual(t, FieldManager, e.Manager)
		}
		require.Equal(t, "1", u.Object["data"].(map[string]any)["x"])
	}
	require.Equal(t, "web", s.live(t, "v1", "ConfigMap", "b").GetLabels()["app"])
	changes, err = s.Delete(t.Context(), s.site, []reconciler.Object{s.configMapName("a")})
	require.NoError(t, err)
	require.Equal(t, []string{"left alone ConfigMap a"}, words(changes))
}

// job runs to its end; it cannot be changed to another version.
func job(name, version string) string {
	return fmt.Sprintf(`{apiVersion: batch/v1, kind: Job, metadata: {name: %s, namespace: NS}, spec: {template: {spec: {
  restartPolicy: Never, containers: [{name: app, image: "holdfast.dev/app:%s"}]}}}}`, name, version)
}

// endsWhileAsked lets the API server answer once, and then time is up.
type endsWhileAsked struct {
	next  http.RoundTripper
	end   context.CancelFunc
	asked atomic.Int64
}

func (e *endsWhileAsked) RoundTrip(req *http.Request) (*http.Response, error) {
	if e.asked.Add(1) == 1 {
		return e.next.RoundTrip(req)
	}
	e.end()
	return nil, context.Cause(req.Context())
}

func testRecreate(t *testing.T, s *stand) {
	jobs := func(version string) []string {
		return []string{job("a", version), job("b", version), configMap("c", "x", version)}
	}
	s.mustApply(t, s.layer(t, "l", jobs("1")...))
	next := s.layer(t, "l", jobs("2")...)
	changes, err := s.Apply(t.Context(), s.site, next)
	require.Equal(t, []string{"updated ConfigMap c"}, words(changes))
	var immutable *reconciler.ImmutableError
	require.ErrorAs(t, err, &immutable)
	require.Len(t, immutable.Objects, 2)
	before := s.live(t, "batch/v1", "Job", "b").GetUID()

	changes, err = s.Recreate(t.Context(), s.site, next, immutable.Names()[:1])
	require.NoError(t, err)
	require.Equal(t, []string{"recreated Job a"}, words(changes))
	var a batchv1.Job
	require.NoError(t, s.other.Get(t.Context(), client.ObjectKey{Namespace: s.site, Name: "a"}, &a))
	require.Equal(t, "holdfast.dev/app:2", a.Spec.Template.Spec.Containers[0].Image)
	require.Equal(t, before, s.live(t, "batch/v1", "Job", "b").GetUID(), "what was not named is as it was")

	held := s.live(t, "batch/v1", "Job", "b")
	held.SetFinalizers([]string{"example.com/hold"})
	require.NoError(t, s.other.Update(t.Context(), held))
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	_, err = s.Recreate(ctx, s.site, next, immutable.Names()[1:])
	require.ErrorContains(t, err, "held by example.com/hold")
	ctx, cancel = context.WithCancel(t.Context())
	defer cancel()
	s.http.Transport = &endsWhileAsked{next: s.http.Transport, end: cancel}
	_, err = s.Recreate(ctx, s.site, next, immutable.Names()[1:])
	require.ErrorContains(t, err, "held by example.com/hold", "also when time is up while it is asked for")
	s.http.Transport = s.http.Transport.(*endsWhileAsked).next
	_, err = s.Recreate(t.Context(), s.site, next, []reconciler.Object{s.configMapName("elsewhere")})
	require.ErrorContains(t, err, "layer l has no ConfigMap "+s.site+"/elsewhere")
}

func testRepair(t *testing.T, s *stand) {
	l := s.layer(t, "l", configMap("a", "x", "1"), configMap("b", "x", "1"))
	s.mustApply(t, l)
	s.edit(t, "a", "somebody", "x", "2")
	s.edit(t, "b", "somebody", "x", "2")
	changes, err := s.Repair(t.Context(), s.site, l, []reconciler.Object{s.configMapName("b")})
	require.NoError(t, err)
	require.Equal(t, []string{"updated ConfigMap b"}, words(changes))
	require.Equal(t, []string{"updated ConfigMap a"}, s.mustApply(t, l))
	err = s.other.Get(t.Context(), client.ObjectKey{Namespace: s.site, Name: "c"}, &corev1.ConfigMap{})
	require.True(t, apierrors.IsNotFound(err))
}
