package kinds

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"sigs.k8s.io/yaml"
)

func object(t *testing.T, text string) Object {
	t.Helper()
	raw, err := yaml.YAMLToJSON([]byte(text))
	require.NoError(t, err)
	var head struct{ APIVersion, Kind string }
	require.NoError(t, json.Unmarshal(raw, &head))
	return Object{head.APIVersion, head.Kind, raw}
}

func said(faults []Fault) []string {
	var all []string
	for _, f := range faults {
		all = append(all, fmt.Sprintf("%s: %s (%s)", strings.Join(f.At, "."), f.Msg, f.Tip))
	}
	return all
}

const pod = `
apiVersion: v1
kind: Pod
metadata: {name: a, labels: {app: a}, creationTimestamp: null}
spec:
  containers:
    - {name: a, image: "a:1", resources: {limits: {cpu: 1, memory: 64Mi}}, livenessProbe: {httpGet: {port: http}}}
`

const definitionOfTills = `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: tills.shop.example.com}
spec:
  group: shop.example.com
  names: {kind: Till, plural: tills}
  scope: Namespaced
  versions:
    - name: v1beta1
      served: false
      storage: false
      schema: {openAPIV3Schema: {type: object}}
    - name: v1
      served: true
      storage: true
      schema:
        openAPIV3Schema:
          type: object
          properties:
            spec:
              type: object
              required: [lanes]
              properties:
                lanes: {type: integer, minimum: 1, maximum: 20, exclusiveMaximum: true}
                mode: {type: string, enum: [fast, slow]}
                port: {x-kubernetes-int-or-string: true}
                name: {type: string, nullable: true, pattern: '^[a-z]+$'}
                every: {type: string, format: duration}
                free: {type: object, x-kubernetes-preserve-unknown-fields: true}
                tags: {type: object, additionalProperties: {type: string}}
                template: {type: object, x-kubernetes-embedded-resource: true, x-kubernetes-preserve-unknown-fields: true}
              anyOf: [{required: [mode]}, {properties: {port: {minimum: 1}}}]
`

const till = "apiVersion: shop.example.com/v1\nkind: Till\nmetadata: {name: one}\n"

func TestAnObjectIsCheckedAsAStrictServerWould(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, object string
		want         []string
	}{
		{"a good one has no faults, and null is as good as nothing", pod, nil},
		{"an unknown field has a near one", strings.Replace(pod, "image:", "imag:", 1), []string{`spec.containers.0.imag: unknown field spec.containers[0].imag (did you mean image?)`}},
		{"a number where text belongs", strings.Replace(pod, "app: a", "app: 1", 1), []string{`metadata.labels.app: metadata.labels.app is a number, not text (quote it: "1")`}},
		{"text where a number belongs", "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a}\nspec: {replicas: '3', selector: {}, template: {}}",
			[]string{"spec.replicas: spec.replicas is text, not a whole number (write it without quotes)"}},
		{"a number that is too large", "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a}\nspec: {replicas: 3000000000, selector: {}, template: {}}",
			[]string{`spec.replicas: spec.replicas is not a int32: "3000000000" (it is a whole number of 32 bits)`}},
		{"all that is missing", "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a}\nspec: {}",
			[]string{"spec: spec.selector is missing (it is required)", "spec: spec.template is missing (it is required)"}},
		{"a quantity", strings.Replace(pod, "64Mi", "64MB", 1), []string{`spec.containers.0.resources.limits.memory: spec.containers[0].resources.limits.memory is not a quantity: "64MB" (a quantity is like 500m, 2, 64Mi or 1G)`}},
		{"a port is a number or a name", strings.Replace(pod, "port: http", "port: true", 1), []string{`spec.containers.0.livenessProbe.httpGet.port: spec.containers[0].livenessProbe.httpGet.port is true or false, not a whole number or text (quote it: "true")`}},
		{"a list", strings.Replace(pod, "labels:", "finalizers:", 1), []string{`metadata.finalizers: metadata.finalizers is a mapping, not a list (begin each item with a dash)`}},
		{"a Secret's data", "apiVersion: v1\nkind: Secret\nmetadata: {name: a}\ndata: {key: 'plain text'}", []string{`data.key: data.key is not a byte: "plain text" (it is base64; plain text goes below stringData)`}},
		{"a kind with a typo", strings.Replace(pod, "kind: Pod", "kind: Pdo", 1), []string{"kind: Kubernetes 1.36 has no Pdo of v1 (did you mean Pod?)"}},
		{"a group that nobody can define", strings.Replace(pod, "apiVersion: v1", "apiVersion: pods/v1", 1), []string{"apiVersion: Kubernetes has no API group pods (groups of custom kinds are names of domains)"}},
		{"a custom object", till + "spec: {lanes: 3, mode: fast, port: http, name: null, every: 1h, free: {any: [thing]}, tags: {a: b}, template: {apiVersion: v1, kind: Pod, metadata: {name: a}, spec: {x: y}}}", nil},
		{"a custom object has known fields only", till + "spec: {lanes: 3, mode: fast, lane: 1}", []string{"spec.lane: unknown field spec.lane (did you mean lanes?)"}},
		{"and its metadata is an object's", till + "spec: {lanes: 3, mode: fast}\nstatus: {}", []string{"status: unknown field status (known there: apiVersion, kind, metadata, spec)"}},
		{"its limits hold", till + "spec: {lanes: 20, mode: medium, name: A}", []string{
			"spec.lanes: spec.lanes: exclusiveMaximum: got 20, want 20 ()", `spec.mode: spec.mode is "medium" (it is one of fast, slow)`,
			"spec.name: spec.name: 'A' does not match pattern '^[a-z]+$' ()"}},
		{"a custom version that is not served", strings.Replace(till, "/v1", "/v1beta1", 1), []string{"apiVersion: Till of shop.example.com/v1beta1 is not served (its CustomResourceDefinition says served: false of this version)"}},
		{"a custom kind that nobody defines", strings.Replace(till, "kind: Till", "kind: Lane", 1), []string{"kind: no CustomResourceDefinition of the site defines Lane of shop.example.com/v1 (add the definition to a layer of the profile)"}},
		{"a definition that is none", strings.Replace(definitionOfTills, "'^[a-z]+$'", "'('", 1), []string{"spec.versions: a schema in spec.versions is not one: shop.example.com/v1: "}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var r Releases
			known, err := r.Of("v1.36.3")
			require.NoError(t, err)
			known = known.With([]json.RawMessage{object(t, definitionOfTills).JSON})
			got := said(known.Check(object(t, tt.object)))
			require.Len(t, got, len(tt.want), "%q", got)
			for i, want := range tt.want {
				require.Contains(t, got[i], want)
			}
		})
	}
}

func TestAKindThatIsGoneNamesItsSuccessor(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ version, apiVersion, kind, msg, tip string }{
		{"v1.36.3", "batch/v1beta1", "CronJob", "Kubernetes 1.36 has no CronJob of batch/v1beta1: it was removed in 1.25", "use batch/v1; some"},
		{"v1.36.3", "policy/v1beta1", "PodSecurityPolicy", "it was removed in 1.25", "nothing takes its place"},
		{"v1.36.3", "extensions/v1beta1", "Ingress", "it was removed in 1.22", "use networking.k8s.io/v1"},
		{"v1.36.3", "autoscaling/v3", "HorizontalPodAutoscaler", "Kubernetes 1.36 has no HorizontalPodAutoscaler of autoscaling/v3", "it has autoscaling/v1, autoscaling/v2"},
		{"v1.36.3", "apps/v2", "Deployment", "Kubernetes 1.36 has no Deployment of apps/v2", "it has apps/v1"},
	} {
		t.Run(tt.apiVersion+" "+tt.kind, func(t *testing.T) {
			t.Parallel()
			var r Releases
			known, err := r.Of(tt.version)
			require.NoError(t, err)
			faults := known.Check(Object{tt.apiVersion, tt.kind, json.RawMessage(`{}`)})
			require.Len(t, faults, 1)
			require.Equal(t, Removed, faults[0].Wrong)
			require.Contains(t, faults[0].Msg, tt.msg)
			require.Contains(t, faults[0].Tip, tt.tip)
		})
	}
}

func TestAVersionWithoutSchemasHasThoseOfTheNearest(t *testing.T) {
	t.Parallel()
	require.Equal(t, []string{"1.33", "1.34", "1.35", "1.36", "1.37"}, Minors())
	for version, want := range map[string]string{"v1.20.1": "1.33", "v1.33.0": "1.33", "v1.36.3": "1.36", "v1.99.0": "1.37"} {
		var r Releases
		known, err := r.Of(version)
		require.NoError(t, err)
		require.Equal(t, want, known.Minor)
		require.Equal(t, strings.HasPrefix(version, "v"+want+"."), known.Exact(version))
	}
}

// All schemas of all versions are read, so that none is found to be broken by a user.
func TestEverySchemaCompiles(t *testing.T) {
	t.Parallel()
	for _, minor := range Minors() {
		t.Run(minor, func(t *testing.T) {
			t.Parallel()
			r, err := readRelease(minor)
			require.NoError(t, err)
			require.Greater(t, len(r.kinds), 80)
			for _, name := range r.kinds {
				_, err := r.at("/$defs/" + name)
				require.NoError(t, err)
			}
		})
	}
}

func TestFieldsThatTakeAnyText(t *testing.T) {
	t.Parallel()
	var r Releases
	known, err := r.Of("v1.36.3")
	require.NoError(t, err)
	known = known.With([]json.RawMessage{object(t, definitionOfTills).JSON})
	for _, tt := range []struct {
		apiVersion, kind, at string
		want                 bool
	}{
		{"v1", "ConfigMap", "data key", true},
		{"v1", "Pod", "metadata annotations a.b/c", true},
		{"v1", "Pod", "spec containers * env * value", true},
		{"v1", "Pod", "spec containers * resources limits cpu", false},
		{"v1", "Pod", "spec containers * livenessProbe httpGet port", false},
		{"v1", "Secret", "data key", false},
		{"v1", "Pod", "spec nonsense", false},
		{"shop.example.com/v1", "Till", "spec mode", false},
		{"shop.example.com/v1", "Till", "spec tags a", true},
		{"shop.example.com/v1", "Unheard", "spec tags a", true},
	} {
		require.Equal(t, tt.want, known.TakesAnyText(tt.apiVersion, tt.kind, strings.Fields(tt.at)), "%s %s", tt.kind, tt.at)
	}
}
