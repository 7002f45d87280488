package fleet

import (
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// scalar is a value as it stands in a file, or what stands there instead.
type scalar struct {
	Name string `json:"n"` // of what it is the value of
	Line int    `json:"l"`
	Tag  string `json:"t"` // as YAML reads it: !!str, !!int, …; !!map, !!seq
	Text string `json:"v,omitempty"`
}

func scalarOf(name string, n *yaml.Node) scalar {
	n = deref(n)
	s := scalar{Name: name, Line: n.Line, Tag: n.ShortTag()}
	if n.Kind == yaml.ScalarNode {
		s.Text = n.Value
	}
	return s
}

// scalars reads a mapping of names to scalars.
func (r reader) scalars(n *yaml.Node, what string) []scalar {
	var list []scalar
	r.entries(n, what, func(key, value *yaml.Node) {
		s := scalarOf(key.Value, value)
		s.Line = key.Line
		list = append(list, s)
	})
	return list
}

// coreInteger is an integer that every YAML version reads alike: 010 is 8 in
// YAML 1.1 and 10 in YAML 1.2, so it is neither here.
var coreInteger = regexp.MustCompile(`^[-+]?(0|[1-9][0-9]*)$`)

// Parse reads text as a value of type t: a string, an int64 or a bool. The
// values of an enum are known to its [Variable] alone.
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
	case CIDR:
		return text, network(text)
	case Address:
		return text, address(text)
	}
	return text, nil
}

// network checks that text is a network in the one form that it is written in here.
func network(text string) error {
	p, err := netip.ParsePrefix(text)
	switch {
	case err != nil:
		return fmt.Errorf("%q is not a network", text)
	case p.Masked().String() != text:
		return fmt.Errorf("%q is not a network; %s is", text, p.Masked())
	}
	return nil
}

func address(text string) error {
	a, err := netip.ParseAddr(text)
	switch {
	case err != nil || a.Zone() != "":
		return fmt.Errorf("%q is not an address", text)
	case a.String() != text:
		return fmt.Errorf("%q is not how an address is written here; %s is", text, a)
	}
	return nil
}

// Parse reads text as a value of the variable, by all that is declared of it.
func (v *Variable) Parse(text string) (any, error) {
	if v.Type == Enum && !slices.Contains(v.Values, text) {
		return nil, fmt.Errorf("%q is none of %s", text, strings.Join(v.Values, ", "))
	}
	if v.Pattern != nil && !v.Pattern.MatchString(text) {
		return nil, fmt.Errorf("%q does not match %s", text, patternText(v.Pattern))
	}
	return v.Type.Parse(text)
}

// errType is about a value that is written as one of another type.
var errType = errors.New("must be of type")

// check reads a value that must have the variable's type as written: "1" is no integer.
func (v *Variable) check(s scalar) (any, error) {
	want := "!!str"
	switch v.Type {
	case Integer:
		want = "!!int"
	case Boolean:
		want = "!!bool"
	}
	if s.Tag != want {
		return nil, fmt.Errorf("%w %s, not %s", errType, v.Type, kindOf(s.Tag))
	}
	return v.Parse(s.Text)
}

// value checks a value given in file; what is wrong says where the variable is declared.
func (ps *problems) value(file string, s scalar, v *Variable) (any, bool) {
	got, err := v.check(s)
	if err == nil {
		return got, true
	}
	tip := fmt.Sprintf("it is declared as %s in %s:%d", v.Type, v.File, v.Line)
	if errors.Is(err, errType) && s.Tag != "!!map" && s.Tag != "!!seq" && v.Type != Integer && v.Type != Boolean {
		tip = "quote it: " + tip
	}
	ps.add(file, s.Line, tip, "variable %s: %s", v.Name, err).Rule = RuleVariableType
	return nil, false
}

func kindOf(tag string) string {
	switch tag {
	case "!!map":
		return "a mapping"
	case "!!seq":
		return "a list"
	case "!!str":
		return "text"
	case "!!int", "!!float":
		return "a number"
	case "!!bool":
		return "a boolean"
	case "!!null":
		return "nothing"
	}
	return "a " + strings.TrimLeft(tag, "!")
}
