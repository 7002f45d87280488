package kube

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/holdfast-fleet/holdfast/bootstrap/embedded/embeddedtest"
	"github.com/holdfast-fleet/holdfast/fleet"
	"github.com/holdfast-fleet/holdfast/reconciler"
	"github.com/holdfast-fleet/holdfast/render"
)

func testCreateUpdateUnchanged(t *testing.T, s *stand) {
	docs := []string{
		configMap("a", "x", "1"), deployment("web"),
		"{apiVersion: v1, kind: ServiceAccount, metadata: {name: web, namespace: NS}}",
		"{apiVersion: v1, kind: Service, metadata: {name: web, namespace: NS}, spec: {selector: {app: web}, ports: [{port: 80}]}}",
	}
	require.Equal(t, []string{"created ConfigMap a", "created Deployment web", "created ServiceAccount web", "created Service web"},
		s.mustApply(t, s.layer(t, "l", docs...)))
	live := s.live(t, "v1", "ConfigMap", "a")
	require.Equal(t, map[string]string{fleet.SiteLabel: s.site, fleet.LayerLabel: "l"}, live.GetLabels())

	require.Empty(t, s.mustApply(t, s.layer(t, "l", docs...)))
	require.Equal(t, live.GetResourceVersion(), s.live(t, "v1", "ConfigMap", "a").GetResourceVersion(), "unchanged is not written")

	docs[0] = configMap("a", "z", "2")
	require.Equal(t, []string{"updated ConfigMap a"}, s.mustApply(t, s.layer(t, "l", docs...)))
	data, _, err := unstructured.NestedStringMap(s.live(t, "v1", "ConfigMap", "a").Object, "data")
	require.NoError(t, err)
	require.Equal(t, map[string]string{"z": "2"}, data, "a key that left the layer is removed")
}

func testUnchangedAfterRestart(t *testing.T, s *stand) {
	l := s.layer(t, "l", configMap("a", "x", "1"), deployment("web"))
	s.mustApply(t, l)
	again := newStand(t, s.server)
	require.Eventually(t, func() bool {
		again.record = newRecord() // as a new process has it
		changes, err := again.Apply(t.Context(), s.site, l)
		return err == nil && len(changes) == 0
	}, time.Minute, 100*time.Millisecond, "beyond the second of the last write, unchanged is told")
}

func testForcedField(t *testing.T, s *stand) {
	l := s.layer(t, "l", configMap("a", "x", "1"))
	s.mustApply(t, l)
	s.edit(t, "a", "somebody", "x", "2")
	require.Equal(t, []string{"updated ConfigMap a"}, s.mustApply(t, l))
	value, _, _ := unstructured.NestedString(s.live(t, "v1", "ConfigMap", "a").Object, "data", "x")
	require.Equal(t, "1", value)
	require.Empty(t, s.mustApply(t, l))
}

func testKubectlEdit(t *testing.T, s *stand) {
	l := s.layer(t, "l", configMap("a", "x", "1"))
	s.mustApply(t, l)
	s.edit(t, "a", "kubectl-edit", "added", "by hand")
	require.Equal(t, []string{"updated ConfigMap a"}, s.mustApply(t, l))
	data, _, _ := unstructured.NestedStringMap(s.live(t, "v1", "ConfigMap", "a").Object, "data")
	require.Equal(t, map[string]string{"x": "1"}, data)
	require.Empty(t, s.mustApply(t, l))

	s.edit(t, "a", "an-operator", "added", "by a program")
	s.mustApply(t, l)
	data, _, _ = unstructured.NestedStringMap(s.live(t, "v1", "ConfigMap", "a").Object, "data")
	require.Equal(t, map[string]string{"x": "1", "added": "by a program"}, data, "fields of programs stay")
}

func testRolloutRestart(t *testing.T, s *stand) {
	l := s.layer(t, "l", deployment("web"))
	s.mustApply(t, l)
	u := s.live(t, "apps/v1", "Deployment", "web")
	path := []string{"spec", "template", "metadata", "annotations"}
	require.NoError(t, unstructured.SetNestedStringMap(u.Object, map[string]string{"kubectl.kubernetes.io/restartedAt": "now"}, path...))
	require.NoError(t, s.other.Update(t.Context(), u, client.FieldOwner("kubectl-rollout")))
	s.mustApply(t, l)
	left, _, _ := unstructured.NestedStringMap(s.live(t, "apps/v1", "Deployment", "web").Object, path...)
	require.NotEmpty(t, left)
}

func testOneBadObject(t *testing.T, s *stand) {
	docs := make([]string, 10)
	for n := range docs {
		docs[n] = configMap(fmt.Sprintf("c%d", n), "x", "1")
	}
	docs[4] = strings.ReplaceAll(deployment("bad"), "replicas: 1", "replicas: -1")
	changes, err := s.Apply(t.Context(), s.site, s.layer(t, "l", docs...))
	require.EqualError(t, err, "apply Deployment "+s.site+"/bad: spec.replicas: Invalid value: -1: must be greater than or equal to 0")
	require.Len(t, changes, 9)
	var failed *reconciler.ObjectError
	require.ErrorAs(t, err, &failed)
	require.Equal(t, "bad", failed.Object.Name)
}

func testDefinitionInLayer(t *testing.T, s *stand) {
	l := s.layer(t, "l", custom("v1", "Lamp", "a", "{size: 1}"), lamps("v1"))
	require.Len(t, s.mustApply(t, l), 2)
	require.Empty(t, s.mustApply(t, l))
}

func testDefinitionInLayerBefore(t *testing.T, s *stand) {
	_, err := s.session()
	require.NoError(t, err)
	s.mustApply(t, s.layer(t, "before", configMap("a"))) // the kinds are discovered now
	s.mustApply(t, s.layer(t, "crds", lamps("v1")))
	require.Equal(t, []string{"created Lamp a"}, s.mustApply(t, s.layer(t, "crs", custom("v1", "Lamp", "a", "{size: 1}"))))
}

func testUnknownKind(t *testing.T, s *stand) {
	began := time.Now()
	docs := []string{configMap("a")}
	for n := range 400 {
		docs = append(docs, custom("v1", "Nothing", fmt.Sprintf("n%d", n), "{}"))
	}
	changes, err := s.Apply(t.Context(), s.site, s.layer(t, "l", docs...))
	require.Equal(t, []string{"created ConfigMap a"}, words(changes))
	require.ErrorContains(t, err, "apply Nothing "+s.site+"/n0: the cluster does not know this kind")
	require.Less(t, time.Since(began), 400/workers*kindPatience/2, "many unknown kinds cost no more patience than one")
	var failed *reconciler.ObjectError
	require.ErrorAs(t, err, &failed)
	require.Contains(t, failed.Hint(), "dependsOn")
}

func testWebhookLast(t *testing.T, s *stand) {
	webhook := `{apiVersion: admissionregistration.k8s.io/v1, kind: ValidatingWebhookConfiguration, metadata: {name: NS}, webhooks: [{
  name: no.NS.example.com, sideEffects: None, admissionReviewVersions: [v1], failurePolicy: Fail, timeoutSeconds: 1,
  namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: NS}}, clientConfig: {url: "https://127.0.0.1:1/"},
  rules: [{apiGroups: [""], apiVersions: [v1], operations: [CREATE, UPDATE], resources: [configmaps]}]}]}`
	docs := []string{webhook}
	for n := range 8 {
		docs = append(docs, configMap(fmt.Sprintf("c%d", n)))
	}
	require.Len(t, s.mustApply(t, s.layer(t, "l", docs...)), 9)
	var err error
	within(t, "the webhook comes into force", func() bool {
		_, err = s.Apply(t.Context(), s.site, s.layer(t, "m", configMap("new", "at", time.Now().String())))
		return err != nil && strings.Contains(err.Error(), "no."+s.site+".example.com")
	})
	var failed *reconciler.ObjectError
	require.ErrorAs(t, err, &failed)
	require.Contains(t, failed.Hint(), "mend what serves the webhook", "nothing does: it does not answer")
	require.ErrorIs(t, err, reconciler.ErrGuarded)
}

func testPolicyRefuses(t *testing.T, s *stand) {
	s.mustApply(t, s.layer(t, "l", `{apiVersion: admissionregistration.k8s.io/v1, kind: ValidatingAdmissionPolicy, metadata: {name: NS}, spec: {
  matchConstraints: {resourceRules: [{apiGroups: [""], apiVersions: [v1], operations: [CREATE, UPDATE], resources: [configmaps]}]}, validations: [{expression: "false"}]}}`,
		`{apiVersion: admissionregistration.k8s.io/v1, kind: ValidatingAdmissionPolicyBinding, metadata: {name: NS}, spec: {policyName: NS, validationActions: [Deny],
  matchResources: {namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: NS}}}}}`))
	within(t, "the policy comes into force", func() bool {
		_, err := s.Apply(t.Context(), s.site, s.layer(t, "m", configMap("new", "at", time.Now().String())))
		return errors.Is(err, reconciler.ErrGuarded) && strings.Contains(err.Error(), "ValidatingAdmissionPolicy '"+s.site+"'")
	})
	_, err := s.Apply(t.Context(), s.site, s.layer(t, "n", strings.ReplaceAll(deployment("web"), "replicas: 1", "replicas: -1")))
	require.Error(t, err)
	require.NotErrorIs(t, err, reconciler.ErrGuarded, "the API server itself refuses that")
}

func testImmutable(t *testing.T, s *stand) {
	s.mustApply(t, s.layer(t, "l", deployment("web")))
	before := s.live(t, "apps/v1", "Deployment", "web").GetUID()
	_, err := s.Apply(t.Context(), s.site, s.layer(t, "l", strings.ReplaceAll(deployment("web"), "app: web", "app: shop")))
	require.ErrorContains(t, err, "apply Deployment "+s.site+"/web: a field that cannot be changed on a live object differs: spec.selector: ")
	require.ErrorContains(t, err, "field is immutable")
	var failed *reconciler.ImmutableError
	require.ErrorAs(t, err, &failed)
	require.NotEmpty(t, failed.Objects[0].Hint())
	require.Equal(t, before, s.live(t, "apps/v1", "Deployment", "web").GetUID())
}

// A forced apply of the ssa library deletes the live object on a plain validation error.
func testInvalidChange(t *testing.T, s *stand) {
	s.mustApply(t, s.layer(t, "l", deployment("web")))
	before := s.live(t, "apps/v1", "Deployment", "web").GetUID()
	_, err := s.Apply(t.Context(), s.site, s.layer(t, "l", strings.ReplaceAll(deployment("web"), "replicas: 1", "replicas: -1")))
	require.ErrorContains(t, err, "spec.replicas")
	require.Equal(t, before, s.live(t, "apps/v1", "Deployment", "web").GetUID())
}

func testTerminatingNamespace(t *testing.T, s *stand) {
	namespace := "{apiVersion: v1, kind: Namespace, metadata: {name: NS-gone}}"
	l := s.layer(t, "l", namespace, strings.ReplaceAll(configMap("a"), "namespace: NS", "namespace: NS-gone"), configMap("b"))
	s.mustApply(t, s.layer(t, "l", namespace))
	require.NoError(t, s.other.Delete(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: s.site + "-gone"}}))
	changes, err := s.Apply(t.Context(), s.site, l)
	require.Equal(t, []string{"created ConfigMap b"}, words(changes))
	require.ErrorContains(t, err, "apply Namespace "+s.site+"-gone: it is being deleted since ")
	require.ErrorContains(t, err, "because it is being terminated")
}

func testBigConfigMap(t *testing.T, s *stand) {
	l := s.layer(t, "l", configMap("big", "x", strings.Repeat("x", 1000_000)))
	require.Equal(t, []string{"created ConfigMap big"}, s.mustApply(t, l))
	require.Empty(t, s.mustApply(t, l))
	_, err := s.Apply(t.Context(), s.site, s.layer(t, "l", configMap("big", "x", strings.Repeat("x", 1500_000))))
	require.ErrorContains(t, err, "apply ConfigMap "+s.site+"/big: ")
	require.Less(t, len(err.Error()), 1000, "the message does not quote the whole value")
	_, err = s.Apply(t.Context(), s.site, s.layer(t, "l", configMap("big", "x", strings.Repeat("x", 3<<20))))
	require.ErrorContains(t, err, "more than the 2097152 that a cluster can store")
}

func testStringData(t *testing.T, s *stand) {
	secret := "{apiVersion: v1, kind: Secret, metadata: {name: a, namespace: NS}, stringData: {DATA}}"
	s.mustApply(t, s.layer(t, "l", strings.ReplaceAll(secret, "DATA", "x: one, y: two")))
	require.Empty(t, s.mustApply(t, s.layer(t, "l", strings.ReplaceAll(secret, "DATA", "x: one, y: two"))))
	s.mustApply(t, s.layer(t, "l", strings.ReplaceAll(secret, "DATA", "x: one")))
	data, _, _ := unstructured.NestedStringMap(s.live(t, "v1", "Secret", "a").Object, "data")
	require.Equal(t, map[string]string{"x": "b25l"}, data)
}

func testClusterWide(t *testing.T, s *stand) {
	l := s.layer(t, "l", "{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRole, metadata: {name: NS, namespace: NS}, rules: []}")
	require.Equal(t, []string{"created ClusterRole " + s.site}, s.mustApply(t, l))
	require.Empty(t, s.mustApply(t, l))
	drifting, err := s.Watch(t.Context(), s.site, []render.Layer{l})
	require.NoError(t, err)
	never(t, drifting, time.Second)
}

func testVersionMove(t *testing.T, s *stand) {
	s.mustApply(t, s.layer(t, "crds", lamps("v1", "v2")))
	s.mustApply(t, s.layer(t, "l", custom("v1", "Lamp", "a", "{size: 1, color: red}")))
	l := s.layer(t, "l", custom("v2", "Lamp", "a", "{size: 2}"))
	require.Equal(t, []string{"updated Lamp a"}, s.mustApply(t, l))
	spec, _, _ := unstructured.NestedMap(s.live(t, s.site+".example.com/v2", "Lamp", "a").Object, "spec")
	require.Equal(t, map[string]any{"size": int64(2)}, spec, "what the older version declared is not left behind")
	require.Empty(t, s.mustApply(t, l))
}

func testCancelled(t *testing.T, s *stand) {
	_, err := s.Apply(ended(), s.site, s.layer(t, "l", configMap("a"), configMap("b")))
	require.EqualError(t, err, "apply layer l: context canceled")
	err = s.other.Get(t.Context(), client.ObjectKey{Namespace: s.site, Name: "a"}, &corev1.ConfigMap{})
	require.True(t, apierrors.IsNotFound(err))
}

func TestApplyWithoutServer(t *testing.T) {
	t.Parallel()
	ports := embeddedtest.Ports(t, 1)
	s := &apiServer{t: t, dir: t.TempDir()}
	path := s.write("kubeconfig", fmt.Sprintf(`{apiVersion: v1, kind: Config, current-context: a, contexts: [{name: a, context: {cluster: a, user: a}}],
  users: [{name: a}], clusters: [{name: a, cluster: {server: "http://127.0.0.1:%d"}}]}`, ports[0]))
	c, err := Connect(path, nil)
	require.NoError(t, err, "the server may come up later")
	require.ErrorContains(t, c.Ready(t.Context()), "connection refused")
	st := &stand{Cluster: c, site: "site"}
	docs := make([]string, 100)
	for n := range docs {
		docs[n] = configMap(fmt.Sprint("c", n))
	}
	_, err = c.Apply(t.Context(), "site", st.layer(t, "l", docs...))
	require.ErrorContains(t, err, "apply layer l: ")
	require.Less(t, len(err.Error()), 500, "one reason, not one for each object")
	require.False(t, errors.Is(err, t.Context().Err()))
}
