package kube

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/holdfast-fleet/holdfast/reconciler"
	"github.com/holdfast-fleet/holdfast/render"
)

// stand is what most tests stand on: a cluster, and somebody else who uses it.
type stand struct {
	*Cluster
	server *apiServer
	site   string // also the name of a namespace of its own
	other  client.WithWatch
}

// TestCluster runs what needs an API server against one, in parallel.
func TestCluster(t *testing.T) {
	server := startAPIServer(t)
	for name, test := range map[string]func(*testing.T, *stand){
		"an applied object is created, then unchanged, then updated": testCreateUpdateUnchanged,
		"another process finds objects unchanged":                    testUnchangedAfterRestart,
		"a field changed by others is forced back":                   testForcedField,
		"what a person adds with kubectl is undone":                  testKubectlEdit,
		"a rollout restart is left alone":                            testRolloutRestart,
		"one bad object of ten":                                      testOneBadObject,
		"a definition and its object in one layer":                   testDefinitionInLayer,
		"a definition's object in the next layer":                    testDefinitionInLayerBefore,
		"an unknown kind is named":                                   testUnknownKind,
		"a denying webhook is applied last":                          testWebhookLast,
		"a policy refuses what it is asked about":                    testPolicyRefuses,
		"an immutable field is named and nothing is deleted":         testImmutable,
		"an invalid change deletes nothing":                          testInvalidChange,
		"a namespace being deleted is named":                         testTerminatingNamespace,
		"a big ConfigMap":                                            testBigConfigMap,
		"a layer of five thousand objects":                           testLargeLayer,
		"stringData of a Secret":                                     testStringData,
		"an update sends what is not in place":                       testUpdate,
		"an update after one that failed":                            testUpdateAfterFailure,
		"sealed Secrets":                                             testSealedSecrets,
		"a namespace on a cluster-wide object":                       testClusterWide,
		"an object moves to another version":                         testVersionMove,
		"a cancelled apply":                                          testCancelled,
		"delete leaves foreign objects alone":                        testDelete,
		"a finalizer that holds an object is named":                  testFinalizer,
		"many that are held are listed":                              testHeldMany,
		"prune: disabled makes an orphan":                            testOrphan,
		"a Job is made anew if it is named":                          testRecreate,
		"the Lease has one holder":                                   testLease,
		"events are told and counted":                                testEvents,
		"repair applies what is named":                               testRepair,
		"verify finds what differs":                                  testVerify,
		"a field that is ignored is set once":                        testIgnore,
		"a rule is added for a field that was applied":               testIgnoreLater,
		"an autoscaler in the layer keeps its replicas":              testAutoscaler,
		"an object that is applied once":                             testOnce,
		"expressions of health":                                      testExpressions,
		"an object is examined":                                      testExamine,
		"probes":                                                     testProbes,
		"a Job that runs is not complete":                            testJobRuns,
		"a Job that goes when it is done":                            testFleeting,
		"the same edit again and again":                              testFight,
		"an inventory is kept":                                       testInventory,
		"wait explains itself":                                       testWaitExplains,
		"wait returns when all is healthy":                           testWaitReturns,
		"a failed job ends waiting":                                  testWaitFailed,
		"drift is seen":                                              testDrift,
		"others' fields and status are no drift":                     testNoDrift,
		"a definition that appears later is watched":                 testLateDefinition,
		"what cannot be changed":                                     testImmutableManifests,
		"429":                                                        testTooMany,
		"500":                                                        testInternalErrors,
		"409":                                                        testConflicts,
		"no answer":                                                  testLostAnswer,
		"ready":                                                      testReady,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, newStand(t, server))
		})
	}
}

func newStand(t *testing.T, server *apiServer) *stand {
	t.Helper()
	c, err := Connect(server.kubeconfig, nil)
	require.NoError(t, err)
	config, err := clientcmd.BuildConfigFromFlags("", server.kubeconfig)
	require.NoError(t, err)
	config.QPS = -1
	other, err := client.NewWithWatch(config, client.Options{Scheme: scheme.Scheme, Log: logr.FromSlogHandler(slog.DiscardHandler)})
	require.NoError(t, err)
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "site-"}}
	require.NoError(t, other.Create(t.Context(), ns))
	return &stand{Cluster: c, server: server, site: ns.Name, other: other}
}

// layer makes a layer of YAML documents, in which NS stands for the stand's namespace.
func (s *stand) layer(t testing.TB, name string, docs ...string) render.Layer {
	t.Helper()
	l := render.Layer{Name: name, Wait: true, Timeout: time.Minute}
	for _, doc := range docs {
		raw, err := yaml.YAMLToJSON([]byte(strings.ReplaceAll(doc, "NS", s.site)))
		require.NoError(t, err)
		l.Objects = append(l.Objects, json.RawMessage(raw))
	}
	return l
}

func (s *stand) mustApply(t testing.TB, l render.Layer) []string {
	t.Helper()
	changes, err := s.Apply(t.Context(), s.site, l)
	require.NoError(t, err)
	return words(changes)
}

// words are changes for comparing: "created ConfigMap a".
func words(changes []reconciler.Change) []string {
	out := []string{}
	for _, c := range changes {
		out = append(out, fmt.Sprintf("%s %s %s", c.Action, c.Object.Kind, c.Object.Name))
	}
	return out
}

// live reads an object as it is; its data or spec may then be changed and written.
func (s *stand) live(t testing.TB, apiVersion, kind, name string) *unstructured.Unstructured {
	t.Helper()
	u := &unstructured.Unstructured{}
	u.SetAPIVersion(apiVersion)
	u.SetKind(kind)
	require.NoError(t, s.other.Get(t.Context(), client.ObjectKey{Namespace: s.site, Name: name}, u))
	return u
}

// edit changes one string of a ConfigMap under another's name.
func (s *stand) edit(t testing.TB, name, manager, key, value string) {
	t.Helper()
	u := s.live(t, "v1", "ConfigMap", name)
	require.NoError(t, unstructured.SetNestedField(u.Object, value, "data", key))
	require.NoError(t, s.other.Update(t.Context(), u, client.FieldOwner(manager)))
}

func configMap(name string, data ...string) string {
	doc := "{apiVersion: v1, kind: ConfigMap, metadata: {name: " + name + ", namespace: NS}, data: {"
	for n := 0; n+1 < len(data); n += 2 {
		doc += fmt.Sprintf("%s: %q, ", data[n], data[n+1])
	}
	return doc + "}}"
}

func deployment(name string) string {
	return `{apiVersion: apps/v1, kind: Deployment, metadata: {name: ` + name + `, namespace: NS}, spec: {replicas: 1,
  selector: {matchLabels: {app: ` + name + `}}, template: {metadata: {labels: {app: ` + name + `}},
  spec: {containers: [{name: app, image: holdfast.dev/app:1}]}}}}`
}

// lamps defines the kind Lamp.
func lamps(versions ...string) string {
	doc := `{apiVersion: apiextensions.k8s.io/v1, kind: CustomResourceDefinition, metadata: {name: lamps.NS.example.com},
  spec: {group: NS.example.com, scope: Namespaced, names: {plural: lamps, singular: lamp, kind: Lamp}, versions: [`
	for n, v := range versions {
		doc += fmt.Sprintf(`{name: %s, served: true, storage: %t, schema: {openAPIV3Schema: {type: object, properties: {spec: {type: object, properties: {size: {type: integer}, color: {type: string}}}}}}}, `, v, n == len(versions)-1)
	}
	return doc + "]}}"
}

func custom(version, kind, name, spec string) string {
	return fmt.Sprintf("{apiVersion: NS.example.com/%s, kind: %s, metadata: {name: %s, namespace: NS}, spec: %s}", version, kind, name, spec)
}

// within fails unless the condition comes true in the time that even a busy machine has enough of.
func within(t testing.TB, what string, condition func() bool) {
	t.Helper()
	require.Eventually(t, condition, time.Minute, 10*time.Millisecond, what)
}

func ended() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}
