package chart

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"text/template"

	"github.com/Masterminds/sprig/v3"
)

// Functions of templates whose result is not decided by the tree.
const (
	random = "bcrypt htpasswd encryptAES genPrivateKey genCA genCAWithKey genSelfSignedCert genSelfSignedCertWithKey genSignedCert " +
		"genSignedCertWithKey"
	clock = "now ago date date_in_zone date_modify dateInZone dateModify htmlDate htmlDateInZone must_date_modify mustDateModify " +
		"toDate mustToDate unixEpoch"
	machine = "env expandenv getHostByName"
)

const (
	randomTip    = "keep the value in a secret of the fleet, and name that where the chart takes an existing one; or give the value that the chart makes up"
	derivableTip = randomTip + "; or, where it is no secret, let it follow from the chart's files, by the annotation " + RandomAnnotation + ": derived of the kustomization"
	clockTip     = "give the chart a value instead, or change its template: it is yours"
	lookupTip    = "give the chart the value that it looks up; or let lookup find nothing, as \"helm template\" does, by the annotation " + LookupAnnotation + ": empty of the kustomization"
)

// LookupAnnotation of a kustomization, set to "empty", lets its charts call lookup, which finds nothing.
const LookupAnnotation = "holdfast.dev/chart-lookup"

// functions are those that templates call instead of helm's own, for one release.
type functions struct {
	lookup bool
	dice   *dice                         // nil: functions of chance are refused
	tips   map[string]string             // of what was refused, by message
	stock  map[string]*template.Template // that call functions of the template language
}

func newFunctions(r Release) *functions {
	f := &functions{lookup: r.Lookup, tips: map[string]string{}, stock: map[string]*template.Template{}}
	if r.Derived {
		f.dice = newDice(r)
	}
	return f
}

func (f *functions) all() template.FuncMap {
	out := template.FuncMap{"keys": sortedKeys, "values": sortedValues}
	stock := sprig.TxtFuncMap()
	for name := range strings.FieldsSeq(opaque) {
		out[name] = f.looking(name, stock[name])
	}
	for name := range strings.FieldsSeq(comparing) {
		out[name] = func(args ...any) (any, error) { return f.compare(name, args) }
	}
	for _, group := range []struct{ names, why, tip string }{
		{derivable, "makes up something else each time, so hosts would differ from what was reviewed", derivableTip},
		{random, "makes up something else each time, so hosts would differ from what was reviewed", randomTip},
		{clock, "goes by the clock or the time zone, so hosts would differ from what was reviewed", clockTip},
		{machine, "asks the machine, so hosts would differ from what was reviewed", clockTip},
	} {
		for name := range strings.FieldsSeq(group.names) {
			out[name] = func(...any) (any, error) { return nil, f.refuse(group.tip, "%s %s", name, group.why) }
		}
	}
	if f.dice != nil {
		maps.Copy(out, f.dice.functions(f))
	}
	if !f.lookup {
		out["lookup"] = func(...any) (any, error) {
			return nil, f.refuse(lookupTip, "lookup asks the cluster, and there is none while rendering")
		}
	}
	return out
}

func (f *functions) refuse(tip, format string, args ...any) error {
	err := fmt.Errorf(format, args...)
	f.tips[err.Error()] = tip
	return err
}

// tip says what to do about an error in which a refusal ended.
func (f *functions) tip(text string) string {
	for msg, tip := range f.tips {
		if strings.Contains(text, msg) {
			return tip
		}
	}
	return ""
}

// sortedKeys is keys, which helm gives in random order.
func sortedKeys(of ...map[string]any) []string {
	var out []string
	for _, m := range of {
		out = slices.AppendSeq(out, maps.Keys(m))
	}
	slices.Sort(out)
	return out
}

// sortedValues is values, which helm gives in random order.
func sortedValues(of map[string]any) []any {
	out := make([]any, 0, len(of))
	for _, key := range slices.Sorted(maps.Keys(of)) {
		out = append(out, of[key])
	}
	return out
}
