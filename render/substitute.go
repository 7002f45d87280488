package render

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/openapi"
	kyaml "sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/holdfast-fleet/holdfast/fleet"
)

// optOut is the annotation of objects whose text is left as it is.
const optOut = "holdfast.dev/substitute"

var variableName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// variables are the values of a site for what its profile declares.
type variables struct {
	declared map[string]*fleet.Variable
	values   map[string]any
	site     *fleet.Site
}

func newVariables(site *fleet.Site) variables {
	v := variables{declared: map[string]*fleet.Variable{}, values: site.Variables, site: site}
	for i := range site.Profile.Variables {
		v.declared[site.Profile.Variables[i].Name] = &site.Profile.Variables[i]
	}
	return v
}

// useError says what is wrong with one use of a variable.
type useError struct {
	name, msg, tip string
	rule           fleet.Rule
}

func (e *useError) Error() string { return e.msg }

// object returns a copy of o with its variables replaced. Only scalars are
// touched, each for itself, so no value can add structure. It is for what
// variables give its name, and does what filling in a template does.
func (v variables) object(o object, from *built) (object, error) {
	meta, _ := o.value["metadata"].(map[string]any)
	annotations, _ := meta["annotations"].(map[string]any)
	switch annotations[optOut] {
	case nil:
	default:
		return object{}, &fleet.Problem{File: from.file, Msg: fmt.Sprintf("%s: the annotation %s can only be disabled", o, optOut), Tip: "write disabled, or drop it", Rule: fleet.RuleBadObject}
	}
	w := &walker{variables: v, kind: kyaml.TypeMeta{APIVersion: o.apiVersion, Kind: o.kind}}
	value := w.value(o.value, nil)
	if len(w.errs) > 0 {
		for i, err := range w.errs {
			w.errs[i] = v.problem(err, o, from)
		}
		return object{}, errors.Join(w.errs...)
	}
	return identify(value.(map[string]any), from.file)
}

// problem says in which file the variable is used, as far as that is known.
func (v variables) problem(err error, o object, from *built) error {
	p := &fleet.Problem{File: from.file, Msg: fmt.Sprintf("%s (site %s, %s)", err, v.site.Name, o), Rule: fleet.RuleVariableSyntax}
	var use *useError
	if !errors.As(err, &use) {
		return p
	}
	p.Tip, p.Rule = use.tip, use.rule
	texts := from.texts()
	for _, file := range slices.Sorted(maps.Keys(texts)) {
		if at := bytes.Index(texts[file], []byte("${"+use.name)); at >= 0 {
			p.File, p.Line = file, 1+bytes.Count(texts[file][:at], []byte("\n"))
			break
		}
	}
	return p
}

// walker replaces variables in the values of one object.
type walker struct {
	variables
	kind kyaml.TypeMeta
	errs []error
}

func (w *walker) value(v any, at []string) any {
	switch v := v.(type) {
	case map[string]any:
		out := make(map[string]any, len(v))
		for _, key := range slices.Sorted(maps.Keys(v)) {
			out[key] = w.value(v[key], append(at, key))
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, item := range v {
			out[i] = w.value(item, append(at, openapi.Elements))
		}
		return out
	case string:
		got, err := w.text(v)
		if err != nil {
			w.errs = append(w.errs, err)
		}
		if _, isText := got.(string); err != nil || isText || !wantsText(w.kind, at) {
			return got
		}
		return fmt.Sprint(got)
	}
	return v
}

// text replaces the variables in one scalar: ${NAME}, ${NAME:=default}, and
// $${ for a ${ that stays. If there is nothing else in it, the result has the
// variable's type.
func (v variables) text(s string) (any, error) {
	var out strings.Builder
	for rest := s; ; {
		dollar := strings.Index(rest, "${")
		if dollar < 0 {
			out.WriteString(rest)
			return out.String(), nil
		}
		if dollar > 0 && rest[dollar-1] == '$' {
			out.WriteString(rest[:dollar-1] + "${")
			rest = rest[dollar+2:]
			continue
		}
		end := strings.IndexByte(rest[dollar:], '}')
		if end < 0 {
			return nil, &useError{msg: fmt.Sprintf("${ without } in %q", shorten(s)), tip: "write $${ for a ${ that should stay", rule: fleet.RuleVariableSyntax}
		}
		end += dollar
		got, err := v.lookup(rest[dollar+2 : end])
		if err != nil {
			return nil, err
		}
		if dollar == 0 && end == len(rest)-1 && len(rest) == len(s) {
			return got, nil
		}
		out.WriteString(rest[:dollar])
		fmt.Fprint(&out, got)
		rest = rest[end+1:]
	}
}

// lookup returns the value of what stands between the braces.
func (v variables) lookup(expr string) (any, error) {
	name, def, hasDefault := strings.Cut(expr, ":=")
	if !variableName.MatchString(name) {
		return nil, &useError{expr, fmt.Sprintf("${%s} is not a variable", shorten(expr)),
			fmt.Sprintf("write $${ for a ${ that should stay, or annotate the object with %s: disabled", optOut), fleet.RuleVariableSyntax}
	}
	if strings.Contains(def, "${") { // its brace would end at the first }
		return nil, &useError{name, fmt.Sprintf("the default of %s is text, without variables in it", name), "declare the variable with a default", fleet.RuleVariableSyntax}
	}
	variable, ok := v.declared[name]
	if !ok {
		return nil, &useError{name, fmt.Sprintf("variable %s is not declared by profile %s", name, v.site.Profile.Name),
			fmt.Sprintf("declare it under spec.variables of %s/profile.yaml, or write $${%s} for the text itself", v.site.Profile.Dir, name), fleet.RuleVariableUndeclared}
	}
	if got, ok := v.values[name]; ok {
		return got, nil
	}
	if !hasDefault {
		return nil, &useError{name, fmt.Sprintf("variable %s has no value", name),
			fmt.Sprintf("add it under spec.variables of %s/site.yaml, or give it a default", v.site.Dir), fleet.RuleVariableMissing}
	}
	got, err := variable.Parse(def)
	if err != nil {
		return nil, &useError{name, fmt.Sprintf("the default of %s, which is of type %s: %s", name, variable.Type, err), "", fleet.RuleVariableType}
	}
	return got, nil
}

func shorten(s string) string {
	if r := []rune(s); len(r) > 40 {
		return string(r[:40]) + "…"
	}
	return s
}
