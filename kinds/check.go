package kinds

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	jsonschema "github.com/santhosh-tekuri/jsonschema/v6"
)

// Wrong says what a [Fault] is about.
type Wrong int

// What can be wrong.
const (
	Malformed Wrong = iota // the object is not as its schema has it
	Removed                // the version of Kubernetes has no such kind any more
	Unknown                // nobody defines the kind
)

// Fault is one thing that is wrong with an object.
type Fault struct {
	Wrong Wrong
	At    []string // the field: keys, and numbers of items; none: the object
	Msg   string   // lower case, no full stop; says the field, not the object
	Tip   string
}

// Object is one that is checked: its JSON, and what it is.
type Object struct {
	APIVersion, Kind string
	JSON             json.RawMessage
}

// Check finds what a cluster would not take of an object. The faults are in the
// order of their fields.
func (k *Known) Check(o Object) []Fault {
	s, fault := k.schemaOf(o.APIVersion, o.Kind)
	if fault != nil {
		return []Fault{*fault}
	}
	value, err := decode(o.JSON)
	if err != nil {
		return []Fault{{Msg: oneLine(err.Error())}}
	}
	compiled, err := s.at(s.pointer)
	if err != nil {
		return []Fault{{Msg: oneLine(err.Error())}}
	}
	var faults []Fault
	var invalid *jsonschema.ValidationError
	if errors.As(compiled.Validate(value), &invalid) {
		faults = s.faults(invalid, value)
	}
	if IsDefinition(o.APIVersion, o.Kind) && len(faults) == 0 {
		if _, err := k.core.define(o.JSON); err != nil {
			faults = append(faults, Fault{At: []string{"spec", "versions"}, Msg: "a schema in spec.versions is not one: " + err.Error()})
		}
	}
	slices.SortStableFunc(faults, func(a, b Fault) int { return slices.Compare(a.At, b.At) })
	return faults
}

// located is a schema in its document.
type located struct {
	*schemas
	pointer string
}

// schemaOf finds the schema of a kind, or says why there is none.
func (k *Known) schemaOf(apiVersion, kind string) (located, *Fault) {
	key := kindKey(apiVersion, kind)
	if name, ok := k.core.kinds[key]; ok {
		return located{k.core.schemas, "/$defs/" + name}, nil
	}
	if c := k.custom[key]; c != nil {
		if !c.served {
			return located{}, &Fault{At: []string{"apiVersion"}, Msg: fmt.Sprintf("%s of %s is not served", kind, apiVersion), Tip: "its CustomResourceDefinition says served: false of this version"}
		}
		return located{c.schemas, c.pointer}, nil
	}
	return located{}, k.absent(apiVersion, kind)
}

// absent says why a cluster does not have a kind.
func (k *Known) absent(apiVersion, kind string) *Fault {
	group := groupOf(apiVersion)
	if gone, ok := removals()[kindKey(apiVersion, kind)]; ok {
		return &Fault{Wrong: Removed, At: []string{"apiVersion"}, Msg: fmt.Sprintf("Kubernetes %s has no %s of %s: it was removed in %s", k.Minor, kind, apiVersion, gone.in), Tip: gone.tip()}
	}
	if !k.core.hasGroup(group) {
		if group == "" || !strings.Contains(group, ".") {
			return &Fault{At: []string{"apiVersion"}, Msg: fmt.Sprintf("Kubernetes has no API group %s", group), Tip: "groups of custom kinds are names of domains"}
		}
		return &Fault{Wrong: Unknown, At: []string{"kind"}, Msg: fmt.Sprintf("no CustomResourceDefinition of the site defines %s of %s", kind, apiVersion), Tip: "add the definition to a layer of the profile"}
	}
	others := k.core.versionsOf(group, kind)
	f := &Fault{At: []string{"apiVersion"}, Msg: fmt.Sprintf("Kubernetes %s has no %s of %s", k.Minor, kind, apiVersion)}
	switch {
	case len(others) > 0:
		f.Wrong, f.Tip = Removed, "it has "+strings.Join(others, ", ")
	case k.everCustom(group):
		f.Wrong, f.At = Unknown, []string{"kind"}
	default:
		f.At, f.Tip = []string{"kind"}, nearTip(kind, k.core.kindsOf(apiVersion))
	}
	return f
}

// everCustom tells whether definitions add kinds to a group of Kubernetes itself.
func (k *Known) everCustom(group string) bool {
	for key := range k.custom {
		if groupOf(key[:strings.LastIndexByte(key, '/')]) == group {
			return true
		}
	}
	return false
}

func (r *release) kindsOf(apiVersion string) []string {
	var kinds []string
	for key := range r.kinds {
		if at := strings.LastIndexByte(key, '/'); key[:at] == apiVersion {
			kinds = append(kinds, key[at+1:])
		}
	}
	slices.Sort(kinds)
	return kinds
}

// decode reads an object as an API server does, to which a field that is null is
// one that is not there.
func decode(raw json.RawMessage) (any, error) {
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		return nil, err
	}
	return withoutNull(v), nil
}

func withoutNull(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for key, item := range v {
			if item == nil {
				delete(v, key)
				continue
			}
			v[key] = withoutNull(item)
		}
	case []any:
		for i, item := range v {
			v[i] = withoutNull(item)
		}
	}
	return v
}

// TakesAnyText tells whether a field takes one text as well as another: then a
// text in it is checked once for all.
func (k *Known) TakesAnyText(apiVersion, kind string, at []string) bool {
	s, fault := k.schemaOf(apiVersion, kind)
	if fault != nil {
		return true
	}
	n := s.follow(s.lookup(s.pointer))
	for _, step := range at {
		if n = s.step(n, step); n == nil {
			return false
		}
	}
	for key := range n {
		if key != "type" {
			return false
		}
	}
	return true
}

// step finds the schema of a field, or of the items.
func (s *schemas) step(n map[string]any, name string) map[string]any {
	properties, _ := n["properties"].(map[string]any)
	for _, inner := range []any{properties[name], n["additionalProperties"], n["items"]} {
		if got, ok := inner.(map[string]any); ok {
			return s.follow(got)
		}
	}
	return nil
}

// follow follows a reference within the document.
func (s *schemas) follow(n map[string]any) map[string]any {
	for range 10 {
		ref, ok := n["$ref"].(string)
		if !ok {
			break
		}
		if n = s.lookup(strings.TrimPrefix(ref, "#")); n == nil {
			break
		}
	}
	return n
}

// lookup returns the schema at a pointer into the document; nil: there is none.
func (s *schemas) lookup(pointer string) map[string]any {
	var v any = s.doc
	for step := range strings.SplitSeq(strings.TrimPrefix(pointer, "/"), "/") {
		m, ok := v.(map[string]any)
		if !ok {
			return nil
		}
		v = m[strings.NewReplacer("~1", "/", "~0", "~").Replace(step)]
	}
	n, _ := v.(map[string]any)
	return n
}
