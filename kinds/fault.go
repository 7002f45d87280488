package kinds

import (
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"

	jsonschema "github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
	"golang.org/x/text/language"
	"golang.org/x/text/message"
)

// faults says what a validator found, in the words of people who write YAML.
func (s *schemas) faults(err *jsonschema.ValidationError, value any) []Fault {
	switch e := err.ErrorKind.(type) {
	case *kind.Schema, *kind.Group, *kind.Reference, *kind.AllOf:
		var all []Fault
		for _, cause := range err.Causes {
			all = append(all, s.faults(cause, value)...)
		}
		return all
	case *kind.Required:
		return s.missing(err, e.Missing)
	case *kind.AdditionalProperties:
		return s.unknown(err, e.Properties)
	}
	return []Fault{s.mismatch(err, valueAt(value, err.InstanceLocation))}
}

func (s *schemas) missing(err *jsonschema.ValidationError, names []string) []Fault {
	var all []Fault
	for _, name := range names {
		all = append(all, Fault{At: err.InstanceLocation, Msg: fieldName(append(slices.Clone(err.InstanceLocation), name)) + " is missing", Tip: "it is required"})
	}
	return all
}

func (s *schemas) unknown(err *jsonschema.ValidationError, names []string) []Fault {
	var known []string
	if _, pointer, ok := strings.Cut(err.SchemaURL, "#"); ok {
		if plain, err := url.PathUnescape(pointer); err == nil {
			properties, _ := s.lookup(plain)["properties"].(map[string]any)
			known = slices.Sorted(maps.Keys(properties))
		}
	}
	var all []Fault
	for _, name := range slices.Sorted(slices.Values(names)) {
		at := append(slices.Clone(err.InstanceLocation), name)
		all = append(all, Fault{At: at, Msg: "unknown field " + fieldName(at), Tip: nearTip(name, known)})
	}
	return all
}

// mismatch is a value that its schema does not take.
func (s *schemas) mismatch(err *jsonschema.ValidationError, got any) Fault {
	f := Fault{At: err.InstanceLocation}
	field := fieldName(f.At)
	switch e := err.ErrorKind.(type) {
	case *kind.Type:
		f.Msg = fmt.Sprintf("%s is %s, not %s", field, typeNames([]string{e.Got}), typeNames(e.Want))
		f.Tip = typeTip(got, e.Want)
	case *kind.OneOf:
		want := wanted(err)
		if len(want) == 0 {
			f.Msg = field + " is none of the forms that it may have"
			break
		}
		f.Msg, f.Tip = fmt.Sprintf("%s is %s, not %s", field, typeNames([]string{typeOf(got)}), typeNames(want)), typeTip(got, want)
	case *kind.Format:
		f.Msg, f.Tip = fmt.Sprintf("%s is not a %s: %s", field, e.Want, shown(got)), formatTip(e.Want)
	case *kind.Enum:
		f.Msg, f.Tip = fmt.Sprintf("%s is %s", field, shown(got)), "it is one of "+strings.Join(texts(e.Want), ", ")
	default:
		f.Msg = field + ": " + e.LocalizedString(message.NewPrinter(language.English))
	}
	return f
}

// wanted are the types that the forms of a value have.
func wanted(err *jsonschema.ValidationError) []string {
	var want []string
	for _, cause := range err.Causes {
		if e, ok := cause.ErrorKind.(*kind.Type); ok {
			want = append(want, e.Want...)
		}
	}
	return want
}

func typeNames(types []string) string {
	names := map[string]string{"string": "text", "integer": "a whole number", "number": "a number", "boolean": "true or false",
		"object": "a mapping", "array": "a list", "null": "empty"}
	var list []string
	for _, t := range types {
		list = append(list, names[t])
	}
	return strings.Join(list, " or ")
}

func typeTip(got any, want []string) string {
	text, isText := got.(string)
	_, isNumber := strconv.ParseInt(text, 10, 64)
	switch {
	case slices.Contains(want, "string") && !isText && typeOf(got) != "object" && typeOf(got) != "array":
		return fmt.Sprintf("quote it: %q", fmt.Sprint(got))
	case isText && isNumber == nil && (slices.Contains(want, "integer") || slices.Contains(want, "number")),
		isText && (text == "true" || text == "false") && slices.Contains(want, "boolean"):
		return "write it without quotes"
	case slices.Contains(want, "array"):
		return "begin each item with a dash"
	}
	return ""
}

func typeOf(v any) string {
	switch v.(type) {
	case string:
		return "string"
	case bool:
		return "boolean"
	case map[string]any:
		return "object"
	case []any:
		return "array"
	case nil:
		return "null"
	}
	return "number"
}

func texts(values []any) []string {
	var list []string
	for _, v := range values {
		list = append(list, fmt.Sprint(v))
	}
	return list
}

// shown is a value as far as it fits in a line.
func shown(v any) string {
	text := []rune(fmt.Sprint(v))
	if len(text) > 40 {
		text = append(text[:40], '…')
	}
	return strconv.Quote(string(text))
}

func valueAt(v any, at []string) any {
	for _, step := range at {
		switch inner := v.(type) {
		case map[string]any:
			v = inner[step]
		case []any:
			i, err := strconv.Atoi(step)
			if err != nil || i >= len(inner) {
				return nil
			}
			v = inner[i]
		}
	}
	return v
}

// fieldName writes a path as people do: spec.containers[0].image.
func fieldName(at []string) string {
	var b strings.Builder
	for i, step := range at {
		_, err := strconv.Atoi(step)
		switch {
		case err == nil:
			b.WriteString("[" + step + "]")
		case strings.ContainsAny(step, "./"):
			fmt.Fprintf(&b, "[%q]", step)
		default:
			if i > 0 {
				b.WriteByte('.')
			}
			b.WriteString(step)
		}
	}
	if len(at) == 0 {
		return "the object"
	}
	return b.String()
}

// nearTip names what somebody may have meant.
func nearTip(name string, known []string) string {
	best, least := "", 3 // edits
	for _, k := range known {
		if d := distance(strings.ToLower(name), strings.ToLower(k)); d < least {
			best, least = k, d
		}
	}
	switch {
	case best != "":
		return "did you mean " + best + "?"
	case len(known) > 0 && len(known) <= 20:
		return "known there: " + strings.Join(known, ", ")
	}
	return ""
}

// distance is how many letters are changed, added or dropped between a and b.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
