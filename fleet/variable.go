package fleet

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

var variableName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]{0,62}$`)

const maxPattern = 1000 // bytes

func (r reader) variables(n *yaml.Node) []Variable {
	var list []Variable
	lines := map[string]int{}
	r.items(n, "spec.variables", func(n *yaml.Node) {
		v := r.variable(n)
		if v.Name == "" {
			return
		}
		if first, twice := lines[v.Name]; twice {
			r.problem(n, fmt.Sprintf("it is first declared at line %d", first), "variable %s is declared twice", v.Name).Rule = RuleDuplicateField
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
	r.object(n, "a variable", r.variableFields(&v, &def))
	if v.Name == "" {
		return v
	}
	switch {
	case v.Type == Enum && len(v.Values) == 0:
		r.problem(n, "add values: [one, another]", "variable %s is an enum without values", v.Name)
		return v
	case v.Type != Enum && len(v.Values) > 0:
		r.problem(n, "make it of type enum, or drop them", "variable %s has values, but is of type %s", v.Name, v.Type)
	case v.Type != String && v.Pattern != nil:
		r.problem(n, "drop the pattern", "variable %s has a pattern, but is of type %s", v.Name, v.Type)
	}
	if def == nil {
		return v
	}
	if v.Required {
		r.problem(def, "drop one of the two", "variable %s is required, so its default is never used", v.Name)
	}
	if got, ok := r.value(r.file, scalarOf(v.Name, def), &v); ok {
		v.Default = got
	}
	return v
}

func (r reader) variableFields(v *Variable, def **yaml.Node) map[string]field {
	types := []string{string(String), string(Integer), string(Boolean), string(Enum), string(CIDR), string(Address)}
	anyValue := func() schema { return schema{"type": []string{"string", "integer", "boolean"}} }
	return map[string]field{
		"name": {true, "As in ${NAME}", matching(variableName.String()), func(n *yaml.Node) {
			if v.Name = r.text(n, "a variable's name"); !variableName.MatchString(v.Name) && v.Name != "" {
				r.problem(n, "use letters, digits and _, not starting with a digit", "%q is not a variable's name", v.Name).Rule = RuleBadName
				v.Name = ""
			}
		}},
		"type": {true, "", oneOf(types...), func(n *yaml.Node) {
			t := r.text(n, "a variable's type")
			if !slices.Contains(types, t) {
				r.problem(n, "the types are "+strings.Join(types, ", "), "unknown type %s", t)
				return
			}
			v.Type = VariableType(t)
		}},
		"required":    {false, "Every site must have a value; default false", booleanShape, func(n *yaml.Node) { v.Required = r.boolean(n, "required") }},
		"default":     {false, "The value of sites that give none", anyValue, func(n *yaml.Node) { *def = n }},
		"description": {false, "For the people who set it", textShape, func(n *yaml.Node) { v.Description = r.text(n, "description") }},
		"pattern": {false, "RE2 expression that the whole of a string matches", textShape, func(n *yaml.Node) {
			v.Pattern = r.pattern(n)
		}},
		"values": {false, "What an enum may be", listOf(textShape), func(n *yaml.Node) {
			r.items(n, "values", func(n *yaml.Node) {
				text := r.text(n, "one of values")
				if slices.Contains(v.Values, text) {
					r.problem(n, "keep one of them", "%s is in values twice", text).Rule = RuleDuplicateField
					return
				}
				v.Values = append(v.Values, text)
			})
		}},
	}
}

// pattern reads a regular expression, which must match all of a text.
func (r reader) pattern(n *yaml.Node) *regexp.Regexp {
	text := r.text(n, "pattern")
	if len(text) > maxPattern {
		r.problem(n, "", "the pattern is longer than %d bytes", maxPattern)
		return nil
	}
	if _, err := regexp.Compile(text); err != nil { // by itself: in brackets it might close them
		r.problem(n, "see https://github.com/google/re2/wiki/Syntax", "pattern: %s", strings.TrimPrefix(err.Error(), "error parsing regexp: "))
		return nil
	}
	whole, err := regexp.Compile(patternStart + text + patternEnd)
	if err != nil {
		r.problem(n, "make it shorter", "pattern: %s", err)
		return nil
	}
	return whole
}

const patternStart, patternEnd = `\A(?:`, `)\z`

func patternText(p *regexp.Regexp) string {
	return strings.TrimSuffix(strings.TrimPrefix(p.String(), patternStart), patternEnd)
}
