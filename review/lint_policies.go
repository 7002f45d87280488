package review

import (
	"encoding/json"
	"errors"
	"io/fs"
	"slices"
	"strings"

	"github.com/holdfast-fleet/holdfast/fleet"
	"github.com/holdfast-fleet/holdfast/kinds"
	"github.com/holdfast-fleet/holdfast/render"
)

// policies checks policies/*.yaml by the newest schemas: a policy is for all
// sites. What its expressions mean only a server knows.
func (l *linter) policies() error {
	files, err := fs.Glob(l.state.FS, "policies/*.y*ml")
	if err != nil || len(files) == 0 {
		return err
	}
	minors := kinds.Minors()
	newest, err := l.releases.Of(minors[len(minors)-1])
	if err != nil {
		return err
	}
	p := policyFiles{linter: l, known: newest, names: map[string]bool{}}
	var errs []error
	for _, file := range files {
		errs = append(errs, p.file(file)...)
	}
	for _, b := range p.bindings {
		if !p.names[b.policy] {
			p.wrong(b.Written, []string{"spec", "policyName"}, "no policy "+b.policy+" in policies/", "name one that is there")
		}
	}
	return errors.Join(errs...)
}

// policyFiles are the admission policies of a fleet.
type policyFiles struct {
	*linter
	known    *kinds.Known
	names    map[string]bool // of policies
	bindings []binding
}

type binding struct {
	render.Written
	policy string
}

func (p *policyFiles) file(file string) []error {
	data, err := fleet.ReadFile(p.state.FS, file, fleet.MaxFileSize)
	if err != nil {
		return p.found.add(err)
	}
	objects, err := render.ReadObjects(file, data)
	for _, o := range objects {
		p.object(o)
	}
	return p.found.add(err)
}

func (p *policyFiles) wrong(o render.Written, at []string, msg, tip string) {
	found := fleet.Problem{Msg: o.Kind + " " + o.Name + ": " + msg, Tip: tip, Rule: fleet.RuleAdmissionPolicy}
	found.File, found.Line = o.Origin.Field(at...)
	p.report(found)
}

// object checks a policy, a binding, or what has parameters of one in it.
func (p *policyFiles) object(o render.Written) {
	allowed := []string{"ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"}
	parameters := o.APIVersion == "v1" && o.Kind == "ConfigMap"
	if !parameters && (!slices.Contains(allowed, o.Kind) || !strings.HasPrefix(o.APIVersion, "admissionregistration.k8s.io/")) {
		p.wrong(o, []string{"kind"}, "it is no admission policy", "policies/ holds "+strings.Join(allowed, " and ")+", and parameters in ConfigMaps; move others to a layer")
		return
	}
	for _, f := range p.known.Check(kinds.Object{APIVersion: o.APIVersion, Kind: o.Kind, JSON: o.JSON}) {
		p.wrong(o, f.At, f.Msg, f.Tip)
	}
	var spec struct{ Spec struct{ PolicyName string } }
	_ = json.Unmarshal(o.JSON, &spec) // its schema says what it lacks
	if o.Kind == allowed[0] {
		p.names[o.Name] = true
	} else if spec.Spec.PolicyName != "" {
		p.bindings = append(p.bindings, binding{o, spec.Spec.PolicyName})
	}
}
