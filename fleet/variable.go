package fleet

import (
	"fmt"
	"regexp"
	"strconv"

	"go.yaml.in/yaml/v3"
)

var variableName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]{0,62}$`)

// coreInteger is an integer that every YAML version reads alike: 010 is 8 in
// YAML 1.1 and 10 in YAML 1.2, so it is neither here.
var coreInteger = regexp.MustCompile(`^[-+]?(0|[1-9][0-9]*)$`)

// Parse reads text as a value of type t: a string, an int64 or a bool.
func (t VariableType) Parse(text string) (any, error) {
	switch t {
	case Integer:
		if !coreInteger.MatchString(text) {
			return nil, fmt.Errorf("%q is not an integer", text)
		}
		v, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("%s does not fit 64 bits", text)
		}
		return v, nil
	case Boolean:
		switch text {
		case "true":
			return true, nil
		case "false":
			return false, nil
		}
		return nil, fmt.Errorf("%q is neither true nor false", text)
	}
	return text, nil
}

// scalar reads a YAML scalar that must have type t as written: "1" is no integer.
func scalar(t VariableType, n *yaml.Node) (any, error) {
	want := map[VariableType]string{String: "!!str", Integer: "!!int", Boolean: "!!bool"}[t]
	if n.Kind != yaml.ScalarNode || n.ShortTag() != want {
		return nil, fmt.Errorf("must be of type %s, not %s", t, kindOf(n))
	}
	return t.Parse(n.Value)
}

// value reads a variable's value.
func (r reader) value(n *yaml.Node, v Variable) (any, bool) {
	n = deref(n)
	got, err := scalar(v.Type, n)
	if err != nil {
		tip := fmt.Sprintf("it is declared as %s in %s:%d", v.Type, v.File, v.Line)
		if v.Type == String && n.Kind == yaml.ScalarNode {
			tip = "quote it"
		}
		r.problem(n, tip, "variable %s: %s", v.Name, err)
		return nil, false
	}
	return got, true
}

func (r reader) variables(n *yaml.Node) []Variable {
	var list []Variable
	lines := map[string]int{}
	r.items(n, "spec.variables", func(n *yaml.Node) {
		v := r.variable(n)
		if v.Name == "" {
			return
		}
		if first, twice := lines[v.Name]; twice {
			r.problem(n, fmt.Sprintf("it is first declared at line %d", first), "variable %s is declared twice", v.Name)
			return
		}
		lines[v.Name] = v.Line
		list = append(list, v)
	})
	return list
}

func (r reader) variable(n *yaml.Node) Variable {
	v := Variable{Type: String, File: r.file, Line: n.Line}
	var def *yaml.Node
	r.object(n, "a variable", map[string]field{
		"name": {true, func(n *yaml.Node) {
			if v.Name = r.text(n, "a variable's name"); !variableName.MatchString(v.Name) && v.Name != "" {
				r.problem(n, "use letters, digits and _, not starting with a digit", "%q is not a variable's name", v.Name)
				v.Name = ""
			}
		}},
		"type": {true, func(n *yaml.Node) {
			switch t := VariableType(r.text(n, "a variable's type")); t {
			case String, Integer, Boolean:
				v.Type = t
			default:
				r.problem(n, "the types are string, integer and boolean", "unknown type %s", t)
			}
		}},
		"required":    {false, func(n *yaml.Node) { v.Required = r.boolean(n, "required") }},
		"default":     {false, func(n *yaml.Node) { def = n }},
		"description": {false, func(n *yaml.Node) { v.Description = r.text(n, "description") }},
	})
	if def == nil || v.Name == "" {
		return v
	}
	if v.Required {
		r.problem(def, "drop one of the two", "variable %s is required, so its default is never used", v.Name)
	}
	if got, ok := r.value(def, v); ok {
		v.Default = got
	}
	return v
}
