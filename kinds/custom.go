package kinds

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// custom is a kind that a CustomResourceDefinition adds.
type custom struct {
	served  bool
	pointer string // into the document of its definition
	*schemas
}

const definitionKind = "CustomResourceDefinition"

// IsDefinition tells whether an object defines a custom kind.
func IsDefinition(apiVersion, kind string) bool {
	return kind == definitionKind && groupOf(apiVersion) == "apiextensions.k8s.io"
}

// With returns what a cluster takes that has these CustomResourceDefinitions,
// too. One that no cluster takes adds nothing: Check says what is wrong with it.
func (k *Known) With(definitions []json.RawMessage) *Known {
	out := &Known{Minor: k.Minor, core: k.core, custom: maps.Clone(k.custom)}
	if out.custom == nil {
		out.custom = map[string]*custom{}
	}
	for _, raw := range definitions {
		found, err := k.core.define(raw)
		if err == nil {
			maps.Copy(out.custom, found)
		}
	}
	return out
}

// definition is what is read of a CustomResourceDefinition.
type definition struct {
	Spec struct {
		Group    string
		Names    struct{ Kind string }
		Versions []struct {
			Name   string
			Served bool
			Schema struct {
				OpenAPIV3Schema map[string]any `json:"openAPIV3Schema"`
			}
		}
	}
}

// define makes schemas of a definition, by apiVersion and kind.
func (r *release) define(raw json.RawMessage) (map[string]*custom, error) {
	var def definition
	if err := json.Unmarshal(raw, &def); err != nil {
		return nil, err
	}
	versions := map[string]any{}
	doc := map[string]any{"$schema": "http://json-schema.org/draft-04/schema#", "definitions": versions}
	found := map[string]*custom{}
	for i, v := range def.Spec.Versions {
		s := structural(v.Schema.OpenAPIV3Schema)
		if len(v.Schema.OpenAPIV3Schema) > 0 {
			asObject(s)
		}
		name := strconv.Itoa(i)
		versions[name] = s
		key := kindKey(def.Spec.Group+"/"+v.Name, def.Spec.Names.Kind)
		found[key] = &custom{served: v.Served, pointer: "/definitions/" + name}
	}
	all, err := newSchemas("kubernetes:custom", doc)
	if err != nil {
		return nil, err
	}
	if err := all.compiler.AddResource(coreURL, r.part(objectMeta)); err != nil {
		return nil, err
	}
	for _, key := range slices.Sorted(maps.Keys(found)) {
		c := found[key]
		if c.schemas = all; c.served {
			if _, err := all.at(c.pointer); err != nil {
				return nil, fmt.Errorf("%s: %s", key[:strings.LastIndexByte(key, '/')], oneLine(err.Error()))
			}
		}
	}
	return found, nil
}

// asObject gives a schema the fields that every object has.
func asObject(s map[string]any) {
	properties, ok := s["properties"].(map[string]any)
	if !ok {
		properties = map[string]any{}
		s["properties"] = properties
	}
	for _, name := range []string{"apiVersion", "kind"} {
		properties[name] = map[string]any{"type": "string"}
	}
	metadata := []any{map[string]any{"$ref": coreURL + "#/$defs/" + objectMeta}}
	if own, ok := properties["metadata"].(map[string]any); ok {
		delete(own, "additionalProperties")
		metadata = append(metadata, own)
	}
	properties["metadata"] = map[string]any{"allOf": metadata}
}

// plainKeywords mean the same in JSON Schema.
func plainKeywords() []string {
	return []string{"type", "format", "enum", "pattern", "required", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum",
		"minLength", "maxLength", "minItems", "maxItems", "uniqueItems", "minProperties", "maxProperties", "multipleOf"}
}

// structural turns the schema of a definition into one that refuses fields that
// it does not have.
func structural(s map[string]any) map[string]any {
	out := map[string]any{}
	for _, key := range plainKeywords() {
		if s[key] != nil {
			out[key] = s[key]
		}
	}
	for _, key := range []string{"allOf", "anyOf", "oneOf"} {
		if list, ok := s[key].([]any); ok {
			out[key] = eachSchema(list, openEnded)
		}
	}
	if not, ok := s["not"].(map[string]any); ok {
		out["not"] = openEnded(not)
	}
	if items, ok := s["items"].(map[string]any); ok {
		out["items"] = structural(items)
	}
	if s["x-kubernetes-int-or-string"] == true {
		out["type"] = []any{"integer", "string"}
	}
	if text, ok := out["type"].(string); ok && s["nullable"] == true {
		out["type"] = []any{text, "null"}
	}
	fields(s, out)
	return out
}

// fields sets which fields a schema has.
func fields(s, out map[string]any) {
	properties, hasFields := s["properties"].(map[string]any)
	if hasFields {
		of := map[string]any{}
		for name, p := range properties {
			inner, _ := p.(map[string]any)
			of[name] = structural(inner)
		}
		out["properties"] = of
	}
	embedded := s["x-kubernetes-embedded-resource"] == true
	if embedded {
		asObject(out)
	}
	switch more := s["additionalProperties"].(type) {
	case map[string]any:
		out["additionalProperties"] = structural(more)
	case bool:
		out["additionalProperties"] = more
	default:
		if s["type"] == "object" && s["x-kubernetes-preserve-unknown-fields"] != true {
			out["additionalProperties"] = false
		}
	}
}

// openEnded is a schema within allOf and its like, which declares no fields.
func openEnded(s map[string]any) map[string]any {
	out := structural(s)
	if s["additionalProperties"] == nil {
		delete(out, "additionalProperties")
	}
	if properties, ok := s["properties"].(map[string]any); ok {
		of := map[string]any{}
		for name, p := range properties {
			inner, _ := p.(map[string]any)
			of[name] = openEnded(inner)
		}
		out["properties"] = of
	}
	if items, ok := s["items"].(map[string]any); ok {
		out["items"] = openEnded(items)
	}
	return out
}

func eachSchema(list []any, do func(map[string]any) map[string]any) []any {
	out := make([]any, 0, len(list))
	for _, item := range list {
		inner, _ := item.(map[string]any)
		out = append(out, do(inner))
	}
	return out
}

func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }
