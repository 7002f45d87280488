package render

import (
	"errors"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/holdfast-fleet/holdfast/fleet"
)

// parseWithin parses YAML that is text in the file at p: lines count from there.
func (s *scan) parseWithin(p place, text string) []*yaml.Node {
	docs, err := fleet.ParseYAML(p.file, []byte(text), yamlLimits())
	var found *fleet.Problem
	if !errors.As(err, &found) {
		return docs
	}
	begin := lineOf(p.root, text)
	if begin == 0 {
		begin = p.line
	}
	switch {
	case begin > 0 && strings.Contains(text, "\n"):
		found.Line += begin // the text begins on the line after its key
	default:
		found.Line = begin
	}
	s.problems = append(s.problems, found)
	return docs
}

// notAnObject says why kustomize would not take a document, or is empty.
func notAnObject(n *yaml.Node) string {
	n = followed(n)
	switch {
	case n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null":
		return "" // an empty document is left out
	case n.Kind != yaml.MappingNode:
		return "a document is not an object"
	}
	kind := valueOf(n, "kind")
	switch {
	case kind == nil || kind.Value == "":
		return "an object has no kind"
	case strings.HasSuffix(kind.Value, "List"):
		return ""
	}
	metadata := valueOf(n, "metadata")
	if metadata == nil {
		return kind.Value + " has no metadata"
	}
	if name := valueOf(metadata, "name"); name == nil || name.Value == "" {
		if valueOf(metadata, "generateName") == nil {
			return kind.Value + " has no name"
		}
	}
	return ""
}

func valueOf(n *yaml.Node, key string) *yaml.Node {
	n = followed(n)
	if n.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return followed(n.Content[i+1])
		}
		if n.Content[i].Value == "<<" {
			if merged := valueOf(n.Content[i+1], key); merged != nil {
				return merged
			}
		}
	}
	return nil
}

func followed(n *yaml.Node) *yaml.Node {
	for n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	return n
}

var (
	unknownField = regexp.MustCompile(`unknown field "([^"]+)"`)
	wrongType    = regexp.MustCompile(`cannot unmarshal (\w+) into Go (?:struct field \w+\.(\S+)|value) of type`)
)

// badField says which field of a kustomization kustomize does not take.
func (s *scan) badField(p place, err error) {
	text := oneLine(err)
	if m := unknownField.FindStringSubmatch(text); m != nil {
		s.problem(p, m[1], "compare it with the fields that kustomize has", "unknown field %s", m[1]).Rule = fleet.RuleUnknownField
		return
	}
	if m := wrongType.FindStringSubmatch(text); m != nil && m[2] != "" {
		field := m[2]
		if i := strings.LastIndexByte(field, '.'); i >= 0 {
			field = field[i+1:]
		}
		what := map[string]string{"string": "text", "number": "a number", "bool": "a boolean", "object": "a mapping", "array": "a list"}[m[1]]
		s.problem(p, field, "compare it with what kustomize takes there", "%s cannot be %s", field, what)
		return
	}
	s.problem(p, "", "a kustomization is a mapping, such as resources: [app.yaml]", "not a kustomization: %s",
		strings.TrimPrefix(strings.TrimPrefix(text, "invalid Kustomization: "), "json: "))
}

var (
	accumulating  = regexp.MustCompile(`^.*accumulating (?:resources|components): (?:accumulation err=')?(?:accumulating resources from '[^']*': )?`)
	mustBuild     = regexp.MustCompile(`': must build at directory:.*$`)
	unmatched     = regexp.MustCompile(`no resource matches strategic merge patch "([^"]+)"`)
	alreadyThere  = regexp.MustCompile(`may not add resource with an already registered id: ([^\s']+)`)
	kustomizeName = regexp.MustCompile(`([A-Z]\w*)\.([\w-]+)\.(\[noGrp\]|[\w.-]+)/([\w.-]+|\[noName\])\.([\w-]+|\[noNs\])`)
)

// problem tells what kustomize says without its layers of quotation.
func (j job) problem(err error) error {
	text := strings.ReplaceAll(oneLine(err), "'/", "'")
	p := &fleet.Problem{File: j.File, Tip: "\"kustomize build\" of that folder says the same at more length", Rule: fleet.RuleKustomization}
	if m := unmatched.FindStringSubmatch(text); m != nil {
		p.Msg = "no object matches the patch for " + readableNames(m[1])
		p.Tip = "give the patch the apiVersion, kind, name and namespace that the object has among the resources"
		kind, name := kindAndName(m[1])
		return writtenAs(p, j.Files, kind, name)
	}
	if m := alreadyThere.FindStringSubmatch(text); m != nil {
		p.Msg, p.Tip = readableNames(m[1])+" is there twice", "keep one of them"
		p.Rule = fleet.RuleDuplicateObject
		kind, name := kindAndName(m[1])
		return writtenAs(p, j.Files, kind, name)
	}
	p.Msg = "kustomize: " + readableNames(mustBuild.ReplaceAllString(accumulating.ReplaceAllString(text, ""), ""))
	return p
}

// kindAndName reads those of an object as kustomize names it.
func kindAndName(text string) (kind, name string) {
	if m := kustomizeName.FindStringSubmatch(text); m != nil {
		return m[1], m[4]
	}
	return "", ""
}

// readableNames turns ConfigMap.v1.[noGrp]/text.[noNs] into ConfigMap text.
func readableNames(text string) string {
	return kustomizeName.ReplaceAllStringFunc(text, func(id string) string {
		m := kustomizeName.FindStringSubmatch(id)
		if m[5] == "[noNs]" {
			return m[1] + " " + m[4]
		}
		return m[1] + " " + m[5] + "/" + m[4]
	})
}
