package kube

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/holdfast-fleet/holdfast/fleet"
	"github.com/holdfast-fleet/holdfast/reconciler"
)

func testDelete(t *testing.T, s *stand) {
	s.mustApply(t, s.layer(t, "l", configMap("ours"), deployment("web"), lamps("v1"), custom("v1", "Lamp", "a", "{}")))
	foreign := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: s.site, Name: "foreign"}}
	require.NoError(t, s.other.Create(t.Context(), foreign))
	elsewhere := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: s.site, Name: "elsewhere", Labels: map[string]string{fleet.SiteLabel: "another"}}}
	require.NoError(t, s.other.Create(t.Context(), elsewhere))

	group := s.site + ".example.com"
	objects := []reconciler.Object{
		{Version: "v1", Kind: "ConfigMap", Namespace: s.site, Name: "ours"},
		{Version: "v1", Kind: "ConfigMap", Namespace: s.site, Name: "foreign"},
		{Version: "v1", Kind: "ConfigMap", Namespace: s.site, Name: "elsewhere"},
		{Version: "v1", Kind: "ConfigMap", Namespace: s.site, Name: "never-was"},
		{Group: "apiextensions.k8s.io", Version: "v1", Kind: "CustomResourceDefinition", Name: "lamps." + group},
		{Group: group, Version: "v1", Kind: "Lamp", Namespace: s.site, Name: "a"},
		{Group: group, Version: "v1", Kind: "Unheard", Namespace: s.site, Name: "of"},
		{Group: "apps", Version: "v1", Kind: "Deployment", Namespace: s.site, Name: "web"},
	}
	_, err := s.Delete(t.Context(), s.site, append(objects, reconciler.Object{Version: "v1", Kind: "ConfigMap", Namespace: s.site}))
	require.ErrorContains(t, err, "lacks its name")
	_, err = s.Delete(t.Context(), "", objects)
	require.ErrorContains(t, err, "no site")
	changes, err := s.Delete(t.Context(), s.site, objects)
	require.NoError(t, err)
	require.Equal(t, []string{"deleted ConfigMap ours", "left alone ConfigMap foreign", "left alone ConfigMap elsewhere", "deleting CustomResourceDefinition lamps." + group, "deleted Lamp a", "deleted Deployment web"}, words(changes))
	require.NoError(t, s.other.Get(t.Context(), client.ObjectKeyFromObject(foreign), foreign))
	require.NoError(t, s.other.Get(t.Context(), client.ObjectKeyFromObject(elsewhere), elsewhere))
	_, err = s.Delete(ended(), s.site, objects)
	require.ErrorIs(t, err, context.Canceled)
}

// The inventory's place in a cluster is one, so its test must be one too.
func testInventory(t *testing.T, s *stand) {
	inv, err := s.Inventory(t.Context(), "shop")
	require.NoError(t, err)
	require.Equal(t, reconciler.Inventory{Site: "shop", Layers: map[string][]reconciler.Object{}}, inv)

	inv.Revision = "abc"
	inv.Newest = "abd"
	inv.Layers["l"] = []reconciler.Object{{Group: "apps", Version: "v1", Kind: "Deployment", Namespace: "x", Name: "y"}}
	none := inv
	inv = s.mustSave(t, inv)
	before := inv.Version
	require.Equal(t, before, s.mustSave(t, inv).Version, "an equal inventory is not written")
	require.Equal(t, before, s.mustSave(t, none).Version, "nor if the first answer was lost")

	for n := range 5000 {
		inv.Layers["big"] = append(inv.Layers["big"], reconciler.Object{Version: "v1", Kind: "ConfigMap", Namespace: "x", Name: fmt.Sprintf("c%d", n)})
	}
	inv = s.mustSave(t, inv)
	delete(inv.Layers, "big")
	inv = s.mustSave(t, inv)

	behind := inv
	behind.Version, behind.Revision = before, "ab0"
	_, err = s.SaveInventory(t.Context(), behind)
	require.ErrorIs(t, err, reconciler.ErrBehind, "who read an older one does not overwrite it")
	behind.Version = ""
	_, err = s.SaveInventory(t.Context(), behind)
	require.ErrorIs(t, err, reconciler.ErrBehind, "nor who read none")

	_, err = s.Inventory(t.Context(), "bar")
	require.ErrorIs(t, err, reconciler.ErrOtherSite)
	require.EqualError(t, err, `ConfigMap holdfast-system/inventory is of site "shop", not "bar": the cluster belongs to another site`)
	_, err = s.SaveInventory(t.Context(), reconciler.Inventory{Site: "bar"})
	require.ErrorIs(t, err, reconciler.ErrOtherSite)
	_, err = s.SaveInventory(t.Context(), reconciler.Inventory{})
	require.ErrorContains(t, err, "names no site")
	requireInventory(t, s, inv)

	cm := &corev1.ConfigMap{}
	require.NoError(t, s.other.Get(t.Context(), client.ObjectKey{Namespace: fleet.SystemNamespace, Name: inventoryName}, cm))
	cm.Data[plainKey] = cm.Data[plainKey][:20]
	require.NoError(t, s.other.Update(t.Context(), cm))
	_, err = s.Inventory(t.Context(), "shop")
	require.ErrorContains(t, err, "read ConfigMap holdfast-system/inventory: parse inventory: unexpected end of JSON input")
}

// mustSave saves an inventory, and finds it saved.
func (s *stand) mustSave(t *testing.T, inv reconciler.Inventory) reconciler.Inventory {
	t.Helper()
	inv, err := s.SaveInventory(t.Context(), inv)
	require.NoError(t, err)
	requireInventory(t, s, inv)
	return inv
}

func requireInventory(t *testing.T, s *stand, want reconciler.Inventory) {
	t.Helper()
	got, err := s.Inventory(t.Context(), want.Site)
	require.NoError(t, err)
	require.Equal(t, want, got)
}

func testWaitReturns(t *testing.T, s *stand) {
	l := s.layer(t, "l", configMap("a"), deployment("web"))
	s.mustApply(t, l)
	done := make(chan error, 1)
	go func() { done <- s.Wait(t.Context(), l) }()
	status := `{"replicas": 1, "updatedReplicas": 1, "readyReplicas": 1, "availableReplicas": 1, "observedGeneration": 1,
		"conditions": [{"type": "Available", "status": "True"}, {"type": "Progressing", "status": "True", "reason": "NewReplicaSetAvailable"}]}`
	web := s.live(t, "apps/v1", "Deployment", "web")
	began := time.Now()
	require.NoError(t, s.other.Status().Patch(t.Context(), web, client.RawPatch("application/merge-patch+json", []byte(`{"status": `+status+`}`))))
	require.NoError(t, <-done)
	t.Logf("health is seen after %s", time.Since(began))

	require.NoError(t, s.other.Delete(t.Context(), web))
	err := s.unhealthy(t, l, "layer l is not ready: Deployment "+s.site+"/web is NotFound: it is not in the cluster")
	require.ErrorIs(t, err, context.DeadlineExceeded)
}

func testWaitExplains(t *testing.T, s *stand) {
	l := s.layer(t, "l", configMap("a"), deployment("web"), `{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {name: disk, namespace: NS},
  spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}}`)
	s.mustApply(t, l)
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: s.site, Name: "web-1", Labels: map[string]string{"app": "web"}},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "app", Image: "holdfast.dev/app:1"}}},
	}
	require.NoError(t, s.other.Create(t.Context(), pod))
	pod.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "app", Image: "x", State: corev1.ContainerState{
		Waiting: &corev1.ContainerStateWaiting{Reason: "ImagePullBackOff", Message: "back-off pulling image"}}}}
	require.NoError(t, s.other.Status().Update(t.Context(), pod))
	require.NoError(t, s.other.Create(t.Context(), &corev1.Event{
		ObjectMeta:     metav1.ObjectMeta{Namespace: s.site, Name: "e"},
		InvolvedObject: corev1.ObjectReference{Kind: "Pod", Namespace: s.site, Name: "web-1", UID: pod.UID},
		Type:           corev1.EventTypeWarning, Reason: "Failed", Message: "no such image", LastTimestamp: metav1.Now(),
	}))

	err := s.unhealthy(t, l, strings.ReplaceAll("layer l is not ready: "+
		"Deployment NS/web is InProgress: Replicas: 0/1; "+
		"pod web-1: container app: ImagePullBackOff: back-off pulling image; warning: Failed: no such image; "+
		"PersistentVolumeClaim NS/disk is InProgress: PVC is not Bound. phase: Pending", "NS", s.site))
	require.ErrorIs(t, err, context.DeadlineExceeded)
	var notReady *reconciler.UnhealthyError
	require.ErrorAs(t, err, &notReady)
	require.Len(t, notReady.Objects, 2)
}

func testWaitFailed(t *testing.T, s *stand) {
	l := s.layer(t, "l", job("j", "1"))
	s.mustApply(t, l)
	live := s.live(t, "batch/v1", "Job", "j")
	now := metav1.Now().UTC().Format(time.RFC3339)
	require.NoError(t, unstructured.SetNestedMap(live.Object, map[string]any{"startTime": now, "conditions": []any{
		map[string]any{"type": "FailureTarget", "status": "True", "reason": "BackoffLimitExceeded", "message": "it failed too often"},
		map[string]any{"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded", "message": "it failed too often"}}}, "status"))
	require.NoError(t, s.other.Status().Update(t.Context(), live))
	err := s.Wait(t.Context(), l)
	require.ErrorContains(t, err, "Job "+s.site+"/j is Failed: ")
	require.NoError(t, t.Context().Err(), "it does not wait for what cannot come")
}

func testReady(t *testing.T, s *stand) {
	require.NoError(t, s.Ready(t.Context()))
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n-" + s.site}}
	is := "node " + node.Name + " is not ready: "
	require.NoError(t, s.other.Create(t.Context(), node))
	require.ErrorContains(t, s.NodesReady(t.Context()), is+"its kubelet has not reported yet")
	node.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionFalse, Reason: "KubeletNotReady", Message: "no network"}}
	require.NoError(t, s.other.Status().Update(t.Context(), node))
	require.ErrorContains(t, s.NodesReady(t.Context()), is+"KubeletNotReady: no network")
	node.Status.Conditions[0].Status = corev1.ConditionTrue
	require.NoError(t, s.other.Status().Update(t.Context(), node))
	if err := s.NodesReady(t.Context()); err != nil { // the cluster has nodes of other tests, too
		require.NotContains(t, err.Error(), is)
	}
}

func TestAnInventoryOfALaterVersionIsRead(t *testing.T) {
	t.Parallel()
	inv, err := decodeInventory(map[string]string{"site": "shop", plainKey: `{
		"site": "shop", "revision": "abc", "newest": "abd", "writer": "a", "waves": {"spring": 3},
		"layers": {"base": [{"version": "v1", "kind": "ConfigMap", "name": "x", "uid": "1"}]}}`}, nil)
	require.NoError(t, err)
	require.Equal(t, reconciler.Inventory{Site: "shop", Revision: "abc", Newest: "abd", Writer: "a",
		Layers: map[string][]reconciler.Object{"base": {{Version: "v1", Kind: "ConfigMap", Name: "x"}}}}, inv)
}
