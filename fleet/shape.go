package fleet

import (
	"maps"
	"slices"
)

// schema is a JSON Schema, or a part of one.
type schema map[string]any

// shape describes a value, when a schema is asked for.
type shape func() schema

func textShape() schema    { return schema{"type": "string", "minLength": 1} }
func nameShape() schema    { return schema{"type": "string", "pattern": dnsLabel.String()} }
func booleanShape() schema { return schema{"type": "boolean"} }

func matching(pattern string) shape {
	return func() schema { return schema{"type": "string", "pattern": pattern} }
}
func constant(text string) shape { return func() schema { return schema{"const": text} } }
func listOf(item shape) shape {
	return func() schema { return schema{"type": "array", "items": item()} }
}
func oneOf(words ...string) shape {
	return func() schema { return schema{"type": "string", "enum": words} }
}

func between(least, most int) shape {
	return func() schema { return schema{"type": "integer", "minimum": least, "maximum": most} }
}

func mapOf(value shape) shape {
	return func() schema { return schema{"type": "object", "additionalProperties": value()} }
}

func either(a, b shape) shape {
	return func() schema { return schema{"anyOf": []schema{a(), b()}} }
}

// addressPattern, cidrPattern, durationPattern and daysPattern say roughly what is checked in full elsewhere.
const (
	addressPattern  = `^[0-9a-f.:]+$`
	cidrPattern     = `^[0-9a-f.:]+/[0-9]{1,3}$`
	durationPattern = `^([0-9]+(\.[0-9]*)?(ns|us|µs|ms|s|m|h))+$`
	daysPattern     = `^([0-9]{1,4}d|([0-9]+(\.[0-9]*)?(ns|us|µs|ms|s|m|h))+)$`
)

// mapping describes what [reader.object] reads by these fields.
func mapping(fields map[string]field) shape {
	return func() schema {
		properties := map[string]schema{}
		required := []string{}
		for _, name := range slices.Sorted(maps.Keys(fields)) {
			f := fields[name]
			properties[name] = f.is()
			if f.doc != "" {
				properties[name]["description"] = f.doc
			}
			if f.required {
				required = append(required, name)
			}
		}
		out := schema{"type": "object", "properties": properties, "additionalProperties": false}
		if len(required) > 0 {
			out["required"] = required
		}
		return out
	}
}
