package chart

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"text/template"

	"github.com/Masterminds/sprig/v3"
)

// Functions of templates whose result is not decided by the tree.
const (
	random = "randAlpha randAlphaNum randAscii randNumeric randBytes randInt shuffle uuidv4 bcrypt htpasswd encryptAES genPrivateKey " +
		"genCA genCAWithKey genSelfSignedCert genSelfSignedCertWithKey genSignedCert genSignedCertWithKey"
	clock = "now ago date date_in_zone date_modify dateInZone dateModify htmlDate htmlDateInZone must_date_modify mustDateModify " +
		"toDate mustToDate unixEpoch"
	machine = "env expandenv getHostByName"
)

// opaque are the functions that look into a text, where the value of a variable
// is not yet. Others carry it on. Checksums are not among them: charts use them to
// restart pods, and a checksum before variables is one all the same.
const opaque = "upper lower title untitle substr trunc repeat nospace initials swapcase snakecase camelcase kebabcase wrap wrapWith " +
	"contains hasPrefix hasSuffix replace plural atoi int int64 float64 seq toDecimal split splitList splitn until untilStep " +
	"add1 add sub div mod mul add1f addf subf divf mulf biggest max min maxf minf ceil floor round abbrev abbrevboth " +
	"b64enc b64dec b32enc b32dec base dir clean ext isAbs osBase osDir osClean osExt osIsAbs derivePassword buildCustomCert decryptAES " +
	"regexMatch mustRegexMatch regexFindAll mustRegexFindAll regexFind mustRegexFind regexReplaceAll mustRegexReplaceAll " +
	"regexReplaceAllLiteral mustRegexReplaceAllLiteral regexSplit mustRegexSplit regexQuoteMeta semver semverCompare urlParse urlJoin " +
	"duration durationRound"

const (
	randomTip = "keep the value in a secret of the fleet, and name that where the chart takes an existing one; or give the value that the chart makes up"
	clockTip  = "give the chart a value instead, or change its template: it is yours"
	lookupTip = "give the chart the value that it looks up; or let lookup find nothing, as \"helm template\" does, by the annotation " + LookupAnnotation + ": empty of the kustomization"
	lateTip   = "variables get their values after the chart is rendered: give the value itself, in a values file of each site's overlay, or patch the object with the variable"
)

// LookupAnnotation of a kustomization, set to "empty", lets its charts call lookup, which finds nothing.
const LookupAnnotation = "holdfast.dev/chart-lookup"

// functions are those that templates call instead of helm's own, for one release.
type functions struct {
	lookup bool
	tips   map[string]string // of what was refused, by message
}

func newFunctions(lookup bool) *functions {
	return &functions{lookup: lookup, tips: map[string]string{}}
}

func (f *functions) all() template.FuncMap {
	out := template.FuncMap{"keys": sortedKeys, "values": sortedValues}
	stock := sprig.TxtFuncMap()
	for name := range strings.FieldsSeq(opaque) {
		out[name] = f.looking(name, stock[name])
	}
	for _, group := range []struct{ names, why, tip string }{
		{random, "makes up something else each time, so hosts would differ from what was reviewed", randomTip},
		{clock, "goes by the clock or the time zone, so hosts would differ from what was reviewed", clockTip},
		{machine, "asks the machine, so hosts would differ from what was reviewed", clockTip},
	} {
		for name := range strings.FieldsSeq(group.names) {
			out[name] = func(...any) (any, error) { return nil, f.refuse(group.tip, "%s %s", name, group.why) }
		}
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

var errorType = reflect.TypeFor[error]()

// looking makes of a function one that refuses to look at variables.
func (f *functions) looking(name string, fn any) any {
	v := reflect.ValueOf(fn)
	t := v.Type()
	var in []reflect.Type
	for i := range t.NumIn() {
		in = append(in, t.In(i))
	}
	call := v.Call
	if t.IsVariadic() {
		call = v.CallSlice
	}
	made := reflect.FuncOf(in, []reflect.Type{t.Out(0), errorType}, t.IsVariadic())
	return reflect.MakeFunc(made, func(args []reflect.Value) []reflect.Value {
		text, found := variableIn(args)
		if found && name != "trunc" {
			return f.unseen(t.Out(0), name, text)
		}
		out := call(args)
		if found && out[0].String() != text {
			return f.unseen(t.Out(0), name, text)
		}
		if len(out) == 1 {
			out = append(out, reflect.Zero(errorType))
		}
		return out
	}).Interface()
}

func (f *functions) unseen(result reflect.Type, name, text string) []reflect.Value {
	if len(text) > 60 {
		text = text[:60] + "…"
	}
	err := f.refuse(lateTip, "%s cannot see what the variable in %q will be", name, text)
	return []reflect.Value{reflect.Zero(result), reflect.ValueOf(&err).Elem()}
}

// variableIn finds a text with a variable among arguments.
func variableIn(args []reflect.Value) (string, bool) {
	for _, arg := range args {
		if arg.Kind() == reflect.Interface {
			arg = arg.Elem()
		}
		switch arg.Kind() {
		case reflect.String:
			if strings.Contains(arg.String(), "${") {
				return arg.String(), true
			}
		case reflect.Slice:
			for i := range arg.Len() {
				if text, found := variableIn([]reflect.Value{arg.Index(i)}); found {
					return text, true
				}
			}
		}
	}
	return "", false
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
