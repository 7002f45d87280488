package conformance

import (
	"encoding/json"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// download returns the folder of a module.
func download(t *testing.T, module string) string {
	t.Helper()
	cmd := exec.Command("go", "mod", "download", "-json", module)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	require.NoError(t, err)
	var m struct{ Dir string }
	require.NoError(t, json.Unmarshal(out, &m))
	return m.Dir
}

type schema = map[string]any

// writeSchemas makes, of the OpenAPI document of Kubernetes, the strict schemas that
// kubeconform is used with: by the rules of openapi2jsonschema, which makes the
// published ones, but that definitions are referred to and not repeated.
func writeSchemas(t *testing.T, swagger, dir string) {
	t.Helper()
	data, err := os.ReadFile(swagger)
	require.NoError(t, err)
	var doc struct{ Definitions map[string]schema }
	require.NoError(t, json.Unmarshal(data, &doc))
	definitions := map[string]any{}
	for name, def := range doc.Definitions {
		definitions[name] = strict(def, nil, "")
	}
	definitions["io.k8s.apimachinery.pkg.util.intstr.IntOrString"] = schema{"oneOf": []any{schema{"type": "string"}, schema{"type": "integer"}}}
	definitions["io.k8s.apimachinery.pkg.api.resource.Quantity"] = schema{"oneOf": []any{schema{"type": "string"}, schema{"type": "number"}}}
	for name, def := range doc.Definitions {
		of, _ := def["x-kubernetes-group-version-kind"].([]any)
		if len(of) != 1 { // or else it is a part of what has a kind, such as DeleteOptions
			continue
		}
		gvk := of[0].(schema)
		group, version, kind := gvk["group"].(string), gvk["version"].(string), gvk["kind"].(string)
		definitions[name].(schema)["properties"] = withHead(definitions[name].(schema)["properties"], group, version, kind)
		file := strings.ToLower(kind)
		if group != "" {
			file += "-" + strings.ToLower(strings.Split(group, ".")[0])
		}
		write(t, filepath.Join(dir, file+"-"+strings.ToLower(version)+".json"), schema{"$ref": "_definitions.json#/definitions/" + name})
	}
	write(t, filepath.Join(dir, "_definitions.json"), schema{"definitions": definitions})
}

// withHead adds what an object of a kind says of itself.
func withHead(properties any, group, version, kind string) any {
	all, ok := properties.(schema)
	if !ok {
		return properties
	}
	apiVersion := strings.TrimPrefix(group+"/"+version, "/")
	all["apiVersion"] = schema{"type": "string", "enum": []any{apiVersion}}
	all["kind"] = schema{"type": "string", "enum": []any{kind}}
	return all
}

// strict refers to the other definitions, forbids fields that are not declared, and
// takes null for a type unless what declares the field has fields that are required.
func strict(s, above schema, name string) schema {
	out := maps.Clone(s)
	if ref, ok := s["$ref"].(string); ok {
		out["$ref"] = "_definitions.json" + ref
	}
	if s["format"] == "int-or-string" {
		return schema{"oneOf": []any{schema{"type": "string"}, schema{"type": "integer"}}}
	}
	if properties, ok := s["properties"].(schema); ok {
		of := schema{}
		for field, p := range properties {
			of[field] = strict(p.(schema), s, field)
		}
		out["properties"] = of
		if s["additionalProperties"] == nil {
			out["additionalProperties"] = false
		}
	}
	for _, key := range []string{"items", "additionalProperties"} {
		if inner, ok := s[key].(schema); ok {
			out[key] = strict(inner, nil, "")
		}
	}
	if kind, ok := s["type"].(string); ok && name != "" && above["required"] == nil {
		out["type"] = []any{kind, "null"}
	}
	return out
}

func write(t *testing.T, file string, v any) {
	t.Helper()
	data, err := json.Marshal(v)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(file, data, 0o600))
}
