package kube

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/holdfast-fleet/holdfast/render"
)

// adopted is what others applied before us: objects with fields that cannot be
// changed, and fields that the API server fills in.
func adopted() []string {
	return []string{
		deployment("web"),
		"{apiVersion: v1, kind: Service, metadata: {name: web, namespace: NS}, spec: {selector: {app: web}, ports: [{port: 80}]}}",
		"{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {name: disk, namespace: NS}, spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}}",
		job("once", "1"),
		configMap("settings", "x", "1"),
	}
}

// TestAdopt lets the names and operations of the tools that people come from
// apply objects, and takes them over.
func TestAdopt(t *testing.T) {
	t.Parallel()
	server := startAPIServer(t)
	for name, tool := range map[string]struct {
		manager string
		apply   bool // server-side
		labels  map[string]any
		notes   map[string]any
	}{
		"kubectl apply":               {"kubectl-client-side-apply", false, nil, map[string]any{"kubectl.kubernetes.io/last-applied-configuration": "{}"}},
		"kubectl apply --server-side": {"kubectl", true, nil, nil},
		"kubectl create":              {"kubectl-create", false, nil, nil},
		"Helm 3": {"helm", false, map[string]any{"app.kubernetes.io/managed-by": "Helm"},
			map[string]any{"meta.helm.sh/release-name": "web", "meta.helm.sh/release-namespace": "default"}},
		"Helm 4": {"helm", true, map[string]any{"app.kubernetes.io/managed-by": "Helm"},
			map[string]any{"meta.helm.sh/release-name": "web", "meta.helm.sh/release-namespace": "default"}},
		"Flux's kustomizations": {"kustomize-controller", true,
			map[string]any{"kustomize.toolkit.fluxcd.io/name": "apps", "kustomize.toolkit.fluxcd.io/namespace": "flux-system"}, nil},
		"Flux's releases": {"helm-controller", false, map[string]any{"helm.toolkit.fluxcd.io/name": "web", "helm.toolkit.fluxcd.io/namespace": "default"}, nil},
		"Argo CD": {"argocd-controller", false, nil,
			map[string]any{"argocd.argoproj.io/tracking-id": "web", "kubectl.kubernetes.io/last-applied-configuration": "{}"}},
		"Argo CD, by the name of its controller": {"argocd-application-controller", false, nil, map[string]any{"argocd.argoproj.io/tracking-id": "web"}},
		"Argo CD with ServerSideApply=true":      {"argocd-controller", true, nil, map[string]any{"argocd.argoproj.io/tracking-id": "web"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStand(t, server)
			theirs := s.layer(t, "l", append(adopted()[:4:4], configMap("settings", "x", "1", "old", "of theirs"))...)
			before := make([]*unstructured.Unstructured, len(theirs.Objects))
			for n, raw := range theirs.Objects {
				u := &unstructured.Unstructured{}
				require.NoError(t, json.Unmarshal(raw, &u.Object))
				if tool.labels != nil {
					require.NoError(t, unstructured.SetNestedMap(u.Object, tool.labels, "metadata", "labels"))
				}
				if tool.notes != nil {
					require.NoError(t, unstructured.SetNestedMap(u.Object, tool.notes, "metadata", "annotations"))
				}
				if tool.apply {
					body, err := json.Marshal(u)
					require.NoError(t, err)
					require.NoError(t, s.other.Patch(t.Context(), u, client.RawPatch(types.ApplyPatchType, body), client.FieldOwner(tool.manager)))
				} else {
					require.NoError(t, s.other.Create(t.Context(), u, client.FieldOwner(tool.manager)))
				}
				before[n] = u
			}

			ours := s.layer(t, "l", adopted()...)
			s.mustApply(t, ours)
			for _, was := range before {
				is := s.live(t, was.GetAPIVersion(), was.GetKind(), was.GetName())
				require.Equal(t, was.GetUID(), is.GetUID(), "nothing is made anew")
				require.Equal(t, was.Object["spec"], is.Object["spec"], "%s is not rolled out again", is.GetKind())
				for label := range tool.labels {
					require.NotContains(t, is.GetLabels(), label, "so the tool does not prune it")
				}
				for note := range tool.notes {
					require.NotContains(t, is.GetAnnotations(), note)
				}
				for _, e := range is.GetManagedFields() {
					require.NotEqual(t, tool.manager, e.Manager)
				}
			}
			data, _, _ := unstructured.NestedStringMap(s.live(t, "v1", "ConfigMap", "settings").Object, "data")
			require.Equal(t, map[string]string{"x": "1"}, data, "what the layer does not declare goes")
			require.Empty(t, s.mustApply(t, ours))
			found, err := s.Verify(t.Context(), s.site, []render.Layer{ours})
			require.NoError(t, err)
			require.Empty(t, found)
		})
	}
}
