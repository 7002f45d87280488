package fleet

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Kinds are the kinds of objects that a fleet is written in, and of which
// [Schema] knows the schema.
func Kinds() []string {
	return []string{"Agent", "Distribution", "Fleet", "Group", "Host", "Profile", "Site"}
}

// Schema returns the JSON Schema of a kind: what the strict reader of that kind
// reads, by the fields that it reads.
func Schema(kind string) ([]byte, error) {
	var r reader
	var spec map[string]field
	switch kind {
	case "Agent":
		spec = r.agentFields(&Agent{})
	case "Distribution":
		spec = r.distributionFields(&Distribution{}, &distributionLines{})
	case "Fleet":
		spec = r.fleetFields(&Fleet{})
	case "Group":
		spec = r.groupFields(&group{})
	case "Host":
		spec = r.hostFields(&hostRecord{})
	case "Profile":
		spec = r.profileFields(&Profile{}, nil)
	case "Site":
		spec = r.siteFields(&siteRecord{})
	default:
		return nil, fmt.Errorf("there is no kind %s of a fleet", kind)
	}
	needsName := slices.Contains([]string{"Distribution", "Fleet"}, kind)
	return document(kind, mapping(r.kubeFields(kind, needsName, spec, &nameAt{}))())
}

func document(kind string, s schema) ([]byte, error) {
	s["$schema"], s["title"] = "https://json-schema.org/draft/2020-12/schema", kind+" of Holdfast"
	data, err := json.MarshalIndent(s, "", "  ")
	return append(data, '\n'), err
}

// SchemaOf returns the JSON Schema of a kind that the YAML library reads into
// structs of type t, by their tags.
func SchemaOf(kind string, t reflect.Type) ([]byte, error) {
	s := typeSchema(t)
	properties := s["properties"].(map[string]schema)
	properties["apiVersion"], properties["kind"] = constant(APIVersion)(), constant(kind)()
	s["required"] = []string{"apiVersion", "kind"}
	return document(kind, s)
}

func typeSchema(t reflect.Type) schema {
	if reflect.PointerTo(t).Implements(reflect.TypeFor[yaml.Unmarshaler]()) {
		if t.Kind() == reflect.Struct { // a value that remembers its place
			return typeSchema(t.Field(0).Type)
		}
		return textShape()
	}
	switch t.Kind() {
	case reflect.Pointer:
		return typeSchema(t.Elem())
	case reflect.Slice:
		return schema{"type": "array", "items": typeSchema(t.Elem())}
	case reflect.Map:
		return schema{"type": "object", "additionalProperties": typeSchema(t.Elem())}
	case reflect.Struct:
		properties := map[string]schema{}
		for f := range t.Fields() {
			name, _, _ := strings.Cut(f.Tag.Get("yaml"), ",")
			properties[name] = typeSchema(f.Type)
		}
		return schema{"type": "object", "properties": properties, "additionalProperties": false}
	case reflect.Bool:
		return booleanShape()
	case reflect.Int:
		return schema{"type": "integer"}
	}
	return schema{"type": "string"}
}
