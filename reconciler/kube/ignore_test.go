package kube

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/holdfast-fleet/holdfast/fleet"
	"github.com/holdfast-fleet/holdfast/render"
)

// scale does what an autoscaler does, through the subresource for it.
func (s *stand) scale(t *testing.T, replicas int32) {
	t.Helper()
	scale := &autoscalingv1.Scale{Spec: autoscalingv1.ScaleSpec{Replicas: replicas}}
	require.NoError(t, s.other.SubResource("scale").Update(t.Context(), s.live(t, "apps/v1", "Deployment", "web"),
		client.WithSubResourceBody(scale), client.FieldOwner("kube-controller-manager")))
}

// replicas is how many the Deployment web is to have.
func (s *stand) replicas(t *testing.T) int64 {
	t.Helper()
	n, _, err := unstructured.NestedInt64(s.live(t, "apps/v1", "Deployment", "web").Object, "spec", "replicas")
	require.NoError(t, err)
	return n
}

const injected = `{apiVersion: admissionregistration.k8s.io/v1, kind: ValidatingWebhookConfiguration, metadata: {name: NS}, webhooks: [
  {name: a.example.com, sideEffects: None, admissionReviewVersions: [v1], clientConfig: {url: "https://127.0.0.1:1/", caBundle: Cg==}, namespaceSelector: {matchLabels: {none: such}}},
  {name: b.example.com, sideEffects: None, admissionReviewVersions: [v1], clientConfig: {url: "https://127.0.0.1:1/", caBundle: Cg==}, namespaceSelector: {matchLabels: {none: such}}}]}`

func testIgnore(t *testing.T, s *stand) {
	three := strings.ReplaceAll(deployment("web"), "replicas: 1", "replicas: 3")
	noted := strings.ReplaceAll(configMap("a", "x", "1", "z", "1"), "metadata: {", `metadata: {annotations: {holdfast.dev/ignore: "/data/z"}, `)
	l := s.layer(t, "l", three, noted, injected)
	l.Ignore = []fleet.Ignore{{Kind: "Deployment", Fields: []string{"/spec/replicas"}}, {Fields: []string{"/webhooks/*/clientConfig/caBundle"}}}
	require.Len(t, s.mustApply(t, l), 3)
	require.EqualValues(t, 3, s.replicas(t), "it is set when the object is made")
	require.Empty(t, s.mustApply(t, l))
	require.EqualValues(t, 3, s.replicas(t), "and stays while nobody sets it")

	drifting, err := s.Watch(t.Context(), s.site, []render.Layer{l})
	require.NoError(t, err)
	s.scale(t, 7)
	s.edit(t, "a", "an-operator", "z", "2")
	hook := s.live(t, "admissionregistration.k8s.io/v1", "ValidatingWebhookConfiguration", s.site)
	for n := range 2 {
		hooks, _, _ := unstructured.NestedSlice(hook.Object, "webhooks")
		require.NoError(t, unstructured.SetNestedField(hooks[n].(map[string]any), "Q0E=", "clientConfig", "caBundle"))
		require.NoError(t, unstructured.SetNestedSlice(hook.Object, hooks, "webhooks"))
	}
	require.NoError(t, s.other.Update(t.Context(), hook, client.FieldOwner("cainjector")))
	never(t, drifting, 500*time.Millisecond)
	require.Empty(t, s.mustApply(t, l))
	require.EqualValues(t, 7, s.replicas(t))
	hook = s.live(t, "admissionregistration.k8s.io/v1", "ValidatingWebhookConfiguration", s.site)
	require.Equal(t, 2, strings.Count(fmt.Sprint(hook.Object), "caBundle:Q0E="))

	s.edit(t, "a", "an-operator", "x", "2")
	require.Equal(t, "l", next(t, drifting), "the other fields are watched as before")
	require.Equal(t, []string{"updated ConfigMap a"}, s.mustApply(t, l))
	data, _, _ := unstructured.NestedStringMap(s.live(t, "v1", "ConfigMap", "a").Object, "data")
	require.Equal(t, map[string]string{"x": "1", "z": "2"}, data)
}

func testIgnoreLater(t *testing.T, s *stand) {
	l := s.layer(t, "l", strings.ReplaceAll(deployment("web"), "replicas: 1", "replicas: 3"))
	s.mustApply(t, l)
	generation := s.live(t, "apps/v1", "Deployment", "web").GetGeneration()
	l.Ignore = []fleet.Ignore{{Kind: "Deployment", Name: "web", Fields: []string{"/spec/replicas", "/spec/template/spec/containers/0/image"}}}
	s.mustApply(t, l)
	web := s.live(t, "apps/v1", "Deployment", "web")
	require.EqualValues(t, 3, s.replicas(t), "a field that we stop applying does not fall back to its default")
	require.Equal(t, generation, web.GetGeneration())

	list, _, _ := unstructured.NestedSlice(web.Object, "spec", "template", "spec", "containers")
	list[0].(map[string]any)["image"] = "holdfast.dev/app:2"
	require.NoError(t, unstructured.SetNestedSlice(web.Object, list, "spec", "template", "spec", "containers"))
	require.NoError(t, unstructured.SetNestedField(web.Object, int64(5), "spec", "replicas"))
	require.NoError(t, s.other.Update(t.Context(), web, client.FieldOwner("kubectl-edit")))
	s.mustApply(t, l)
	require.EqualValues(t, 5, s.replicas(t), "nor do a person's changes of it")
	require.Contains(t, fmt.Sprint(s.live(t, "apps/v1", "Deployment", "web").Object["spec"]), "holdfast.dev/app:2")

	l.Ignore = nil
	require.Equal(t, []string{"updated Deployment web"}, s.mustApply(t, l))
	require.EqualValues(t, 3, s.replicas(t))
}

func testAutoscaler(t *testing.T, s *stand) {
	l := s.layer(t, "l", strings.ReplaceAll(deployment("web"), "replicas: 1", "replicas: 3"), `{apiVersion: autoscaling/v2, kind: HorizontalPodAutoscaler,
  metadata: {name: web, namespace: NS}, spec: {scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: web}, minReplicas: 2, maxReplicas: 9}}`)
	s.mustApply(t, l)
	s.scale(t, 6)
	require.Empty(t, s.mustApply(t, l))
	require.EqualValues(t, 6, s.replicas(t))
}

func testOnce(t *testing.T, s *stand) {
	l := s.layer(t, "l", strings.ReplaceAll(configMap("a", "x", "1"), "metadata: {", `metadata: {annotations: {holdfast.dev/apply: once}, `))
	require.Equal(t, []string{"created ConfigMap a"}, s.mustApply(t, l))
	drifting, err := s.Watch(t.Context(), s.site, []render.Layer{l})
	require.NoError(t, err)
	s.edit(t, "a", "an-operator", "x", "2")
	never(t, drifting, 500*time.Millisecond)
	require.Empty(t, s.mustApply(t, l))
	a := s.live(t, "v1", "ConfigMap", "a")
	require.Equal(t, "2", a.Object["data"].(map[string]any)["x"])
	require.NoError(t, s.other.Delete(t.Context(), a))
	require.Equal(t, "l", next(t, drifting))
	require.Equal(t, []string{"created ConfigMap a"}, s.mustApply(t, l))
}

func TestPointers(t *testing.T) {
	t.Parallel()
	value := func() map[string]any {
		return map[string]any{"a/b": "1", "list": []any{map[string]any{"name": "x", "v": "1"}, map[string]any{"name": "y", "v": "2"}}}
	}
	for _, tt := range []struct {
		pointer string
		want    map[string]any
	}{
		{"/a~1b", map[string]any{"list": value()["list"]}},
		{"/list/*/v", map[string]any{"a/b": "1", "list": []any{map[string]any{"name": "x"}, map[string]any{"name": "y"}}}},
		{"/list/1/v", map[string]any{"a/b": "1", "list": []any{map[string]any{"name": "x", "v": "1"}, map[string]any{"name": "y"}}}},
		{"/list/7/v", value()},
		{"/none/of/it", value()},
		{"/list", map[string]any{"a/b": "1"}},
	} {
		got := value()
		parsePointer(tt.pointer).strip(got)
		require.Equal(t, tt.want, got, tt.pointer)
	}
}
