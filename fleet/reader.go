package fleet

import (
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// reader reads the values of one file strictly; what is wrong goes to its problems.
type reader struct {
	file string
	*problems
}

// field says how a field of a mapping is read, and described in a JSON Schema.
type field struct {
	required bool
	doc      string // for people who write it
	is       shape  // what its value is like
	read     func(*yaml.Node)
}

func (r reader) problem(n *yaml.Node, tip, format string, args ...any) *Problem {
	line := 0
	if n != nil {
		line = n.Line
	}
	return r.add(r.file, line, tip, format, args...)
}

// nameAt is metadata.name, and its line; empty if there is none.
type nameAt struct {
	Name string `json:",omitempty"`
	Line int    `json:",omitempty"`
}

// kubeObject parses data as the one object of the given kind that the file
// should hold, and reads its spec. An object that is not named by its path needs a name.
func (r reader) kubeObject(data []byte, kind string, needsName bool, spec map[string]field) (got nameAt) {
	docs, err := ParseYAML(r.file, data, objectLimits())
	if err != nil {
		r.addErr(err)
		return got
	}
	if len(docs) != 1 {
		r.add(r.file, 0, "a file holds one object", "holds %d YAML documents, not one %s", len(docs), kind)
		return got
	}
	r.object(docs[0].Content[0], "the "+kind, r.kubeFields(kind, needsName, spec, &got))
	return got
}

func (r reader) kubeFields(kind string, needsName bool, spec map[string]field, name *nameAt) map[string]field {
	needsSpec := false
	for _, f := range spec {
		needsSpec = needsSpec || f.required
	}
	metadata := r.metadataFields(name)
	return map[string]field{
		"apiVersion": {true, "", constant(APIVersion), r.exactly("apiVersion", APIVersion)},
		"kind":       {true, "", constant(kind), r.exactly("kind", kind)},
		"metadata":   {needsName, "", mapping(metadata), func(n *yaml.Node) { r.object(n, "metadata", metadata) }},
		"spec":       {needsSpec, "", mapping(spec), func(n *yaml.Node) { r.object(n, "spec", spec) }},
	}
}

// metadataFields are the name, and labels and annotations for other tools.
func (r reader) metadataFields(name *nameAt) map[string]field {
	texts := func(n *yaml.Node) {
		r.entries(n, "metadata", func(key, value *yaml.Node) { r.text(value, key.Value) })
	}
	return map[string]field{
		"name":        {true, "", nameShape, func(n *yaml.Node) { *name = nameAt{r.name(n, "metadata.name"), n.Line} }},
		"labels":      {false, "For other tools", mapOf(textShape), texts},
		"annotations": {false, "For other tools", mapOf(textShape), texts},
	}
}

// named checks that metadata.name, if there is one, is what the path says.
func (r reader) named(got nameAt, want string) {
	if got.Name != "" && got.Name != want {
		r.add(r.file, got.Line, "give both the same name", "metadata.name is %s, but the path says %s", got.Name, want).Rule = RuleBadName
	}
}

func (r reader) exactly(what, want string) func(*yaml.Node) {
	return func(n *yaml.Node) {
		if got := r.text(n, what); got != want && got != "" {
			r.problem(n, "write "+want, "%s is %s, not %s", what, got, want)
		}
	}
}

// object reads a mapping with the given fields and no others.
func (r reader) object(n *yaml.Node, what string, fields map[string]field) {
	n = deref(n)
	if n.Kind != yaml.MappingNode {
		r.problem(n, "write it as name: value, a line each", "%s must be a mapping, not %s", what, kindOf(n.ShortTag()))
		return
	}
	seen := map[string]bool{}
	for i := 0; i < len(n.Content); i += 2 {
		key := n.Content[i]
		f, known := fields[key.Value]
		switch {
		case !known:
			r.problem(key, "known fields: "+strings.Join(slices.Sorted(maps.Keys(fields)), ", "), "unknown field %s in %s", key.Value, what).Rule = RuleUnknownField
		case seen[key.Value]:
			r.problem(key, "keep one of them", "field %s is given twice in %s", key.Value, what).Rule = RuleDuplicateField
		default:
			seen[key.Value] = true
			f.read(n.Content[i+1])
		}
	}
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		if fields[name].required && !seen[name] {
			r.problem(n, "add it"+fields[name].choice(), "%s lacks the field %s", what, name).Rule = RuleMissingField
		}
	}
}

// choice names the values of a field that takes few.
func (f field) choice() string {
	if f.is == nil {
		return ""
	}
	if words, _ := f.is()["enum"].([]string); len(words) > 0 {
		return ": one of " + strings.Join(words, ", ")
	}
	return ""
}

// entries calls read for every entry of a mapping with free keys, each once.
func (r reader) entries(n *yaml.Node, what string, read func(key, value *yaml.Node)) {
	n = deref(n)
	if n.Kind != yaml.MappingNode {
		r.problem(n, "write it as name: value, a line each", "%s must be a mapping, not %s", what, kindOf(n.ShortTag()))
		return
	}
	seen := map[string]bool{}
	for i := 0; i < len(n.Content); i += 2 {
		key := deref(n.Content[i])
		switch {
		case key.Kind != yaml.ScalarNode || key.ShortTag() != "!!str":
			r.problem(key, "quote it", "a key of %s is not a string", what)
		case seen[key.Value]:
			r.problem(key, "keep one of them", "%s has %s twice", what, key.Value).Rule = RuleDuplicateField
		default:
			seen[key.Value] = true
			read(key, n.Content[i+1])
		}
	}
}

func (r reader) items(n *yaml.Node, what string, read func(*yaml.Node)) {
	n = deref(n)
	if n.Kind != yaml.SequenceNode {
		r.problem(n, "write it with a - before each entry", "%s must be a list, not %s", what, kindOf(n.ShortTag()))
		return
	}
	for _, item := range n.Content {
		read(item)
	}
}

// text reads a string that is not empty.
func (r reader) text(n *yaml.Node, what string) string {
	n = deref(n)
	if n.Kind != yaml.ScalarNode || n.ShortTag() != "!!str" {
		r.problem(n, "quote it if the text is meant", "%s must be a string, not %s", what, kindOf(n.ShortTag()))
		return ""
	}
	if n.Value == "" {
		r.problem(n, "give it a value", "%s is empty", what)
	}
	return n.Value
}

func (r reader) boolean(n *yaml.Node, what string) bool {
	v, err := (&Variable{Type: Boolean}).check(scalarOf(what, n))
	if err != nil {
		r.problem(n, "write true or false", "%s %s", what, err)
		return false
	}
	return v.(bool)
}

func (r reader) number(n *yaml.Node, what string, least, most int) int {
	v, err := (&Variable{Type: Integer}).check(scalarOf(what, n))
	number, _ := v.(int64)
	if err != nil || number < int64(least) || number > int64(most) {
		hint := "write a whole number, without quotes"
		if err == nil {
			hint = n.Value + " is none of them"
		}
		r.problem(n, hint, "%s must be a number from %d to %d", what, least, most)
		return 0
	}
	return int(number)
}

func (r reader) duration(n *yaml.Node, what string) time.Duration {
	d, err := time.ParseDuration(r.text(n, what))
	if err != nil || d <= 0 || d > 24*time.Hour {
		r.problem(n, "write it like 30s or 5m; at most 24h", "%s is not a duration", what)
		return 0
	}
	return d
}

// days reads a duration of minutes to years, which may be in days: 30d.
func (r reader) days(n *yaml.Node, what string) time.Duration {
	text := r.text(n, what)
	d, err := time.ParseDuration(text)
	if count, isDays := strings.CutSuffix(text, "d"); isDays {
		var whole uint64
		whole, err = strconv.ParseUint(count, 10, 12)
		d = time.Duration(whole) * 24 * time.Hour
	}
	if err != nil || d < time.Minute || d > 3650*24*time.Hour {
		r.problem(n, "write it like 12h or 30d; at least 1m, at most 3650d", "%s is not a duration", what)
		return 0
	}
	return d
}

var dnsLabel = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$`)

const nameTip = "use lower-case letters, digits and -, at most 63 of them"

// name reads a DNS label.
func (r reader) name(n *yaml.Node, what string) string {
	name := r.text(n, what)
	if name != "" && !dnsLabel.MatchString(name) {
		r.problem(n, nameTip, "%s %q is not a name", what, name).Rule = RuleBadName
		return ""
	}
	return name
}

func deref(n *yaml.Node) *yaml.Node {
	for n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	return n
}
