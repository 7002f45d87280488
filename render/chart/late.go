package chart

import (
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"text/template"

	"github.com/holdfast-fleet/holdfast/secrets"
)

// Variables get their values, and secrets are opened, after a chart is rendered:
// until then a text stands for them, which templates may only carry on.

// opaque are the functions that look into texts. Others carry them on. Checksums are not among them: charts use them to
// restart pods, and a checksum before variables is one all the same.
const opaque = "upper lower title untitle substr trunc repeat nospace initials swapcase snakecase camelcase kebabcase wrap wrapWith " +
	"contains has mustHas hasPrefix hasSuffix replace plural atoi int int64 float64 seq toDecimal split splitList splitn until untilStep " +
	"add1 add sub div mod mul add1f addf subf divf mulf biggest max min maxf minf ceil floor round abbrev abbrevboth " +
	"b64enc b64dec b32enc b32dec base dir clean ext isAbs osBase osDir osClean osExt osIsAbs derivePassword buildCustomCert decryptAES " +
	"regexMatch mustRegexMatch regexFindAll mustRegexFindAll regexFind mustRegexFind regexReplaceAll mustRegexReplaceAll " +
	"regexReplaceAllLiteral mustRegexReplaceAllLiteral regexSplit mustRegexSplit regexQuoteMeta get hasKey semver semverCompare urlParse urlJoin " +
	"duration durationRound"

// comparing are those of the template language. They look at texts, and not into lists.
const comparing = "eq ne lt le gt ge len index slice urlquery"

const (
	lateTip   = "variables get their values after the chart is rendered: give the value itself, in a values file of each site's overlay, or patch the object with the variable"
	sealedTip = "secrets are opened on the host, after the chart is rendered: encrypt the whole value as the chart puts it into a Secret, or give the chart the name of a Secret that another file of the layer holds"
)

// late tells whether a text stands for something that is not there yet.
func late(text string) bool { return strings.Contains(text, "${") || secrets.HoldsStandIn(text) }

var errorType = reflect.TypeFor[error]()

// looking makes of a function one that refuses to look at what is late.
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
		text, found := lateIn(args)
		refused := found && name != "trunc" && (name != "b64enc" || !secrets.IsStandIn(text)) // whose base64 is known by what it holds
		var out []reflect.Value
		if !refused {
			out = call(args)
			refused = found && name == "trunc" && out[0].String() != text
		}
		if refused {
			err := f.unseen(name, text)
			return []reflect.Value{reflect.Zero(t.Out(0)), reflect.ValueOf(&err).Elem()}
		}
		if len(out) == 1 {
			out = append(out, reflect.Zero(errorType))
		}
		return out
	}).Interface()
}

func (f *functions) unseen(name, text string) error {
	if secrets.HoldsStandIn(text) {
		return f.refuse(sealedTip, "%s cannot see what is encrypted", name)
	}
	if len(text) > 60 {
		text = text[:60] + "…"
	}
	return f.refuse(lateTip, "%s cannot see what the variable in %q will be", name, text)
}

// lateIn finds a text among arguments that stands for something.
func lateIn(args []reflect.Value) (string, bool) {
	for _, arg := range args {
		if arg.Kind() == reflect.Interface {
			arg = arg.Elem()
		}
		switch arg.Kind() {
		case reflect.String:
			if late(arg.String()) {
				return arg.String(), true
			}
		case reflect.Slice:
			for i := range arg.Len() {
				if text, found := lateIn([]reflect.Value{arg.Index(i)}); found {
					return text, true
				}
			}
		}
	}
	return "", false
}

// compare calls a function of the template language, which a template alone can.
func (f *functions) compare(name string, args []any) (any, error) {
	for i, arg := range args {
		if text, ok := arg.(string); ok && late(text) && (name != "index" || i > 0) {
			return nil, f.unseen(name, text)
		}
	}
	call := fmt.Sprint(name, len(args))
	if f.stock[call] == nil {
		text := "{{ call .Keep (" + name
		for i := range args {
			text += fmt.Sprintf(" (index .Args %d)", i)
		}
		t, err := template.New("").Parse(text + ") }}")
		if err != nil {
			return nil, err
		}
		f.stock[call] = t
	}
	var got any
	err := f.stock[call].Execute(io.Discard, map[string]any{"Args": args, "Keep": func(v any) string { got = v; return "" }})
	if exec := (template.ExecError{}); errors.As(err, &exec) {
		if said := errors.Unwrap(exec.Err); said != nil {
			return nil, said
		}
	}
	return got, err
}
