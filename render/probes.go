package render

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/holdfast-fleet/holdfast/fleet"
)

// probesVary tells whether sites with other variables ask something else.
func probesVary(layer fleet.Layer) bool {
	return slices.ContainsFunc(layer.Probes, func(p fleet.Probe) bool { return strings.Contains(p.HTTP+p.TCP, "${") })
}

// ProbeVariables names the variables that the probes of a layer use.
func ProbeVariables(layer fleet.Layer) []string {
	var names []string
	for _, p := range layer.Probes {
		names = append(names, usesIn(p.HTTP+p.TCP)...)
	}
	return names
}

// probes puts a site's values into the probes of a layer.
func (v variables) probes(layer fleet.Layer) ([]fleet.Probe, error) {
	var out []fleet.Probe
	var errs []error
	for _, p := range layer.Probes {
		before := len(errs)
		for _, text := range []*string{&p.HTTP, &p.TCP} {
			got, err := v.text(*text)
			if err != nil {
				errs = append(errs, v.probeProblem(err, layer, p))
				continue
			}
			*text = fmt.Sprint(got)
		}
		if len(errs) == before {
			if wrong := p.Check(); wrong != "" {
				errs = append(errs, v.probeProblem(&useError{msg: wrong, rule: fleet.RuleBadValue}, layer, p))
			}
		}
		out = append(out, p)
	}
	return out, errors.Join(errs...)
}

// probeProblem says where the probe is declared.
func (v variables) probeProblem(err error, layer fleet.Layer, p fleet.Probe) error {
	problem := &fleet.Problem{File: p.File, Line: p.Line, Msg: fmt.Sprintf("%s (site %s, a probe of layer %s)", err, v.site.Name, layer.Name), Rule: fleet.RuleVariableSyntax}
	if use := (*useError)(nil); errors.As(err, &use) {
		problem.Tip, problem.Rule = use.tip, use.rule
	}
	return problem
}
