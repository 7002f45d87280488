package conformance

import (
	"encoding/json"
	"maps"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"sigs.k8s.io/yaml"
)

const tills = `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: tills.shop.example.com}
spec:
  group: shop.example.com
  names: {kind: Till, plural: tills}
  scope: Namespaced
  versions:
    - name: v1
      served: true
      storage: true
      schema:
        openAPIV3Schema:
          type: object
          properties:
            apiVersion: {type: string}
            kind: {type: string}
            metadata: {type: object}
            spec:
              type: object
              required: [lanes]
              properties:
                lanes: {type: integer, minimum: 1, maximum: 20}
                mode: {type: string, enum: [fast, slow]}
                port: {x-kubernetes-int-or-string: true, format: int-or-string}
                name: {type: string, pattern: '^[a-z]+$', maxLength: 5}
                every: {type: string, format: duration}
                nick: {type: string, nullable: true}
                tags: {type: object, additionalProperties: {type: string}}
                shelf: {type: object, properties: {row: {type: number}}}
                free: {type: object, properties: {a: {type: string}}, x-kubernetes-preserve-unknown-fields: true}
                list: {type: array, minItems: 1, items: {type: object, required: [a], properties: {a: {type: boolean}}}}
              oneOf: [{required: [mode]}, {required: [port]}]
`

// writeDefinition makes schemas of a definition by the rules of kubeconform's
// openapi2jsonschema.py.
func writeDefinition(t *testing.T, raw json.RawMessage, dir string) {
	t.Helper()
	var def struct {
		Spec struct {
			Group    string
			Names    struct{ Kind string }
			Versions []struct {
				Name   string
				Schema struct{ OpenAPIV3Schema schema }
			}
		}
	}
	require.NoError(t, json.Unmarshal(raw, &def))
	for _, v := range def.Spec.Versions {
		group, _, _ := strings.Cut(def.Spec.Group, ".")
		name := strings.ToLower(def.Spec.Names.Kind) + "-" + group + "-" + v.Name + ".json"
		s := closed(v.Schema.OpenAPIV3Schema).(schema)
		delete(s, "additionalProperties") // of the object itself, unless it is asked for
		write(t, filepath.Join(dir, name), s)
	}
}

func closed(v any) any {
	switch v := v.(type) {
	case schema:
		if v["format"] == "int-or-string" {
			return schema{"oneOf": []any{schema{"type": "string"}, schema{"type": "integer"}}}
		}
		out := maps.Clone(v)
		for key, inner := range out {
			out[key] = closed(inner)
		}
		if out["properties"] != nil && out["additionalProperties"] == nil {
			out["additionalProperties"] = false
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, inner := range v {
			out[i] = closed(inner)
		}
		return out
	}
	return v
}

func TestCustomObjects(t *testing.T) {
	t.Parallel()
	toJSON := func(text string) json.RawMessage {
		raw, err := yaml.YAMLToJSON([]byte(text))
		require.NoError(t, err)
		return raw
	}
	j := newJudges(t, toJSON(tills))
	const ours, theirs = "ours take it alone", "kubeconform takes it alone"
	for _, tt := range []struct{ spec, rest, want string }{
		{"lanes: 3, mode: fast", "", ""},
		{"lanes: 3, port: http", "", ""},
		{"lanes: 3, port: 80, name: till, every: 1h30m, tags: {a: b}, shelf: {row: 1.5}, free: {a: b}, list: [{a: true}]", "", ""},
		{"mode: fast", "", ""},
		{"lanes: 0, mode: fast", "", ""},
		{"lanes: 21, mode: fast", "", ""},
		{"lanes: 3.5, mode: fast", "", ""},
		{"lanes: '3', mode: fast", "", ""},
		{"lanes: 3, mode: medium", "", ""},
		{"lanes: 3", "", ""},
		{"lanes: 3, mode: fast, port: 80", "", ""},
		{"lanes: 3, port: true", "", ""},
		{"lanes: 3, mode: fast, name: Till", "", ""},
		{"lanes: 3, mode: fast, name: counter", "", ""},
		{"lanes: 3, mode: fast, lane: 1", "", ""},
		{"lanes: 3, mode: fast, tags: {a: 1}", "", ""},
		{"lanes: 3, mode: fast, shelf: {column: 1}", "", ""},
		{"lanes: 3, mode: fast, list: []", "", ""},
		{"lanes: 3, mode: fast, list: [{}]", "", ""},
		{"lanes: 3, mode: fast, list: [{a: true, b: true}]", "", ""},
		{"lanes: 3, mode: fast, list: {a: true}", "", ""},
		// What its script makes of a definition is not all that the definition says.
		{"lanes: 3, mode: fast, free: {b: c}", "", ours},
		{"lanes: 3, mode: fast, nick: null", "", ours},
		{"lanes: 3, mode: fast", "status: {}", theirs},
		{"lanes: 3, mode: fast", "metadata: {name: a, label: {b: c}}", theirs},
		// A duration is what whoever reads the object takes for one: an API server does not look.
		{"lanes: 3, mode: fast, every: soon", "", ours},
	} {
		text := "apiVersion: shop.example.com/v1\nkind: Till\nspec: {" + tt.spec + "}\n"
		if text += tt.rest; !strings.HasPrefix(tt.rest, "metadata") {
			text += "\nmetadata: {name: a}\n"
		}
		v := j.judge(toJSON(text))
		got := map[bool]string{true: ours, false: theirs}[v.ours == ""]
		if v.agree() {
			got = ""
		}
		require.Equal(t, tt.want, got, "%s\n%s", text, v)
	}
}
