package review

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"
)

func parse(t *testing.T, text string) map[string]any {
	t.Helper()
	v, err := decode(json.RawMessage(text))
	require.NoError(t, err)
	return v
}

func lines(fields []Field) []string {
	var out []string
	for _, f := range fields {
		out = append(out, f.line())
	}
	return out
}

func TestFieldsAreComparedAsKubernetesMergesThem(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, old, current string
		want               []string
	}{
		{"the same is nothing", `{"a":1}`, `{"a":1}`, nil},
		{"a scalar", `{"spec":{"replicas":1}}`, `{"spec":{"replicas":2}}`, []string{"spec.replicas: 1 → 2"}},
		{"a type", `{"a":"1"}`, `{"a":1}`, []string{"a: 1 → 1"}},
		{"large numbers keep their digits", `{"a":9007199254740993}`, `{"a":9007199254740992}`, []string{"a: 9007199254740993 → 9007199254740992"}},
		{"what comes and goes", `{"a":null}`, `{"b":{"c":1}}`, []string{"a: null → none", `b: none → {"c":1}`}},
		{"keys that are no words", `{"metadata":{"labels":{"a.b/c":"1"}}}`, `{"metadata":{"labels":{"a.b/c":"2"}}}`, []string{`metadata.labels["a.b/c"]: 1 → 2`}},
		{"containers by name, wherever they are", `{"containers":[{"name":"a","image":"x:1"},{"name":"b"}]}`, `{"containers":[{"name":"b"},{"name":"a","image":"x:2"}]}`,
			[]string{"containers[a].image: x:1 → x:2"}},
		{"an order alone", `{"env":[{"name":"a"},{"name":"b"}]}`, `{"env":[{"name":"b"},{"name":"a"}]}`, []string{`env (order): ["a","b"] → ["b","a"]`}},
		{"ports by number and protocol", `{"ports":[{"port":80,"protocol":"TCP","targetPort":1}]}`, `{"ports":[{"port":80,"protocol":"UDP"},{"port":80,"protocol":"TCP","targetPort":2}]}`,
			[]string{"ports[80/TCP].targetPort: 1 → 2", `ports[80/UDP]: none → {"port":80,"protocol":"UDP"}`}},
		{"other lists by index", `{"args":["a","b"]}`, `{"args":["a","c","d"]}`, []string{"args[1]: b → c", "args[2]: none → d"}},
		{"names that are there twice by index", `{"env":[{"name":"a","value":"1"},{"name":"a"}]}`, `{"env":[{"name":"a","value":"2"},{"name":"a"}]}`, []string{"env[0].value: 1 → 2"}},
		{"a terminal's controls are shown", `{"a":"x"}`, "{\"a\":\"\\u001b[31m\\u202e\"}", []string{`a: x → "\u001b[31m\u202e"`}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, tt.want, lines(compareObjects(parse(t, tt.old), parse(t, tt.current))))
		})
	}
}

func TestValuesOfSecretsAreNeverShown(t *testing.T) {
	t.Parallel()
	const head = `{"apiVersion":"v1","kind":"Secret",`
	for _, tt := range []struct {
		name, old, current string
		want               []string
	}{
		{"changed", `"data":{"k":"aHVudGVyMg=="}}`, `"data":{"k":"aHVudGVyMw=="}}`, []string{"data.k: changed (7 bytes)"}},
		{"new", `"type":"Opaque"}`, `"type":"Opaque","data":{"k":"aHVudGVyMg=="},"stringData":{"s":"hunter2"}}`,
			[]string{"data.k: none → hidden (7 bytes)", "stringData.s: none → hidden (7 bytes)"}},
		{"gone", `"stringData":{"a.b":"hunter2"}}`, `"type":"Opaque"}`, []string{`stringData["a.b"]: hidden (7 bytes) → none`, "type: none → Opaque"}},
		{"no map at all", `"data":"hunter2"}`, `"data":["hunter2"]}`, []string{"data: changed (11 bytes)"}},
		{"a copy of it all", `"metadata":{"annotations":{"kubectl.kubernetes.io/last-applied-configuration":"hunter2"}}}`,
			`"metadata":{"annotations":{"kubectl.kubernetes.io/last-applied-configuration":"hunter3"}}}`,
			[]string{`metadata.annotations["kubectl.kubernetes.io/last-applied-configuration"]: changed (7 bytes)`}},
		{"annotations that come with it", `"metadata":{}}`, `"metadata":{"annotations":{"kubectl.kubernetes.io/last-applied-configuration":"hunter2"}}}`,
			[]string{`metadata.annotations["kubectl.kubernetes.io/last-applied-configuration"]: none → hidden (7 bytes)`}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			fields := compareObjects(parse(t, head+tt.old), parse(t, head+tt.current))
			require.Equal(t, tt.want, lines(fields))
			raw, err := json.Marshal(fields)
			require.NoError(t, err)
			require.NotContains(t, string(raw), "hunter")
			require.NotContains(t, string(raw), "aHVud")
		})
	}
}

func TestImmutableFieldsAreKnown(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, kind, old, current string
		want                     bool
	}{
		{"a Deployment's selector", "apps/Deployment", `{"spec":{"selector":{"matchLabels":{"a":"1"}}}}`, `{"spec":{"selector":{"matchLabels":{"a":"2"}}}}`, true},
		{"a Deployment's template", "apps/Deployment", `{"spec":{"template":{"a":"1"}}}`, `{"spec":{"template":{"a":"2"}}}`, false},
		{"a StatefulSet's replicas", "apps/StatefulSet", `{"spec":{"replicas":1}}`, `{"spec":{"replicas":2}}`, false},
		{"a StatefulSet's claims", "apps/StatefulSet", `{"spec":{"volumeClaimTemplates":[{"metadata":{"name":"a"},"spec":{"x":1}}]}}`,
			`{"spec":{"volumeClaimTemplates":[{"metadata":{"name":"a"},"spec":{"x":2}}]}}`, true},
		{"a StatefulSet's service", "apps/StatefulSet", `{"spec":{"serviceName":"a"}}`, `{"spec":{"serviceName":"b"}}`, true},
		{"a Job's template", "batch/Job", `{"spec":{"template":{"a":"1"}}}`, `{"spec":{"template":{"a":"2"}}}`, true},
		{"a Job's parallelism", "batch/Job", `{"spec":{"parallelism":1}}`, `{"spec":{"parallelism":2}}`, false},
		{"a Service's address", "/Service", `{"spec":{"clusterIP":"10.0.0.1"}}`, `{"spec":{"clusterIP":"10.0.0.2"}}`, true},
		{"a Service's address that is left to the server", "/Service", `{"spec":{"clusterIP":"10.0.0.1"}}`, `{"spec":{}}`, false},
		{"a claim's class", "/PersistentVolumeClaim", `{"spec":{"storageClassName":"a"}}`, `{"spec":{"storageClassName":"b"}}`, true},
		{"a claim's size", "/PersistentVolumeClaim", `{"spec":{"resources":{"requests":{"storage":"1Gi"}}}}`, `{"spec":{"resources":{"requests":{"storage":"2Gi"}}}}`, false},
		{"a binding's role", "rbac.authorization.k8s.io/RoleBinding", `{"roleRef":{"name":"a"}}`, `{"roleRef":{"name":"b"}}`, true},
		{"a binding's subjects", "rbac.authorization.k8s.io/RoleBinding", `{"subjects":[{"name":"a"}]}`, `{"subjects":[{"name":"b"}]}`, false},
		{"a class's provisioner", "storage.k8s.io/StorageClass", `{"provisioner":"a"}`, `{"provisioner":"b"}`, true},
		{"a ConfigMap", "/ConfigMap", `{"data":{"a":"1"}}`, `{"data":{"a":"2"}}`, false},
		{"an immutable ConfigMap", "/ConfigMap", `{"immutable":true,"data":{"a.b":"1"}}`, `{"immutable":true,"data":{"a.b":"2"}}`, true},
		{"a ConfigMap that becomes immutable", "/ConfigMap", `{"data":{"a":"1"}}`, `{"immutable":true,"data":{"a":"1"}}`, false},
		{"a Pod's image", "/Pod", `{"spec":{"containers":[{"name":"a","image":"1"}]}}`, `{"spec":{"containers":[{"name":"a","image":"2"}]}}`, false},
		{"a Pod's command", "/Pod", `{"spec":{"containers":[{"name":"a","command":["1"]}]}}`, `{"spec":{"containers":[{"name":"a","command":["2"]}]}}`, true},
		{"a CRD's scope", "apiextensions.k8s.io/CustomResourceDefinition", `{"spec":{"scope":"Cluster"}}`, `{"spec":{"scope":"Namespaced"}}`, true},
		{"the same name in another group", "example.com/Deployment", `{"spec":{"selector":1}}`, `{"spec":{"selector":2}}`, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			old := parse(t, tt.old)
			fields := compareObjects(old, parse(t, tt.current))
			require.NotEmpty(t, fields)
			require.Equal(t, tt.want, markImmutable(tt.kind, old, fields))
		})
	}
}
