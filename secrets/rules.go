package secrets

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// RulesFile is the name of the file that says how new documents are encrypted.
const RulesFile = ".sops.yaml"

// Limits of the rules.
const (
	maxRulesSize = 4 << 20 // bytes
	maxRules     = 20_000
	maxIndent    = 16
)

// Rules are the creation rules of a .sops.yaml.
type Rules struct {
	file   string
	list   []creationRule
	indent map[Format]int
}

// creationRule applies to the files whose path matches.
type creationRule struct {
	Rule
	line   int
	path   *regexp.Regexp // nil matches all
	groups int            // of keys
	others []string       // other kinds of keys it asks for
}

// ParseRules reads a .sops.yaml. Its error joins every [Problem] found.
func ParseRules(file string, data []byte) (*Rules, error) {
	if len(data) > maxRulesSize {
		return nil, problemf(file, 0, "put a .sops.yaml into folders further down", "larger than %d KiB", maxRulesSize>>10)
	}
	var doc yaml.Node
	dec := yaml.NewDecoder(bytes.NewReader(data))
	if err := dec.Decode(&doc); err != nil && !errors.Is(err, io.EOF) {
		return nil, (&yamlReader{file: file}).syntax(err)
	}
	r := &rulesReader{file: file, left: maxValues, rules: &Rules{file: file, indent: map[Format]int{}}}
	found := false
	if len(doc.Content) > 0 {
		// Other keys are a place for anchors, as sops has it.
		r.entries(doc.Content[0], ".sops.yaml", map[string]func(*yaml.Node){
			"creation_rules": func(n *yaml.Node) { found = true; r.items(n, "creation_rules", r.rule) },
			"stores":         r.stores,
		}, true)
	}
	if !found && len(r.problems) == 0 {
		r.add(nil, "begin it with creation_rules:", "it has no creation_rules")
	}
	if len(r.problems) > 0 {
		return nil, errors.Join(r.problems...)
	}
	return r.rules, nil
}

// For returns the first rule whose path_regex matches name, a slash-separated
// path from the folder of the .sops.yaml.
func (r *Rules) For(name string) (Rule, error) {
	for _, c := range r.list {
		if c.path != nil && !c.path.MatchString(name) {
			continue
		}
		switch {
		case c.groups > 1:
			return Rule{}, problemf(r.file, c.line, "put all recipients into one group", "the rule for %s has %d key groups, which need several keys to open", name, c.groups)
		case len(c.others) > 0:
			return Rule{}, problemf(r.file, c.line, "give it age recipients only, or use sops", "the rule for %s asks for %s, which only sops can encrypt to", name, strings.Join(c.others, ", "))
		case len(c.Recipients) == 0:
			return Rule{}, problemf(r.file, c.line, "add age: with a list of recipients", "the rule for %s has no recipients", name)
		}
		rule := c.Rule
		rule.Indent = r.indent
		return rule, nil
	}
	return Rule{}, problemf(r.file, 0, "add a rule whose path_regex matches it", "no rule for %s", name)
}

// rulesReader reads the nodes of a .sops.yaml.
type rulesReader struct {
	file     string
	left     int // values that may still come
	rules    *Rules
	problems []error
}

func (r *rulesReader) add(n *yaml.Node, tip, format string, args ...any) {
	line := 0
	if n != nil {
		line = n.Line
	}
	r.problems = append(r.problems, problemf(r.file, line, tip, format, args...))
}

// deref follows an alias and counts values, so that aliases cannot multiply them.
func (r *rulesReader) deref(n *yaml.Node) *yaml.Node {
	if r.left--; r.left == 0 {
		r.add(n, "split the file", "more than %d values once aliases are followed", maxValues)
	}
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if r.left <= 0 {
		return &yaml.Node{Kind: n.Kind, Line: n.Line}
	}
	return n
}

// entries reads a mapping; others allows keys that are not known.
func (r *rulesReader) entries(n *yaml.Node, what string, read map[string]func(*yaml.Node), others bool) {
	n = r.deref(n)
	if n.Kind != yaml.MappingNode {
		r.add(n, "write it as key: value", "%s must be a mapping", what)
		return
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i]
		take, known := read[key.Value]
		switch {
		case seen[key.Value]:
			r.add(key, "remove one of them", "%s is there twice", key.Value)
		case known:
			take(n.Content[i+1])
		case !others:
			r.add(key, "look for a spelling mistake", "unknown field %s of %s", key.Value, what)
		}
		seen[key.Value] = true
	}
}

func (r *rulesReader) items(n *yaml.Node, what string, read func(*yaml.Node)) {
	n = r.deref(n)
	if n.Kind != yaml.SequenceNode {
		r.add(n, "write it with a - before each entry", "%s must be a list", what)
		return
	}
	for _, item := range n.Content {
		read(item)
	}
}

func (r *rulesReader) text(n *yaml.Node, what string) string {
	n = r.deref(n)
	if n.Kind != yaml.ScalarNode {
		r.add(n, "write one value", "%s must be text", what)
		return ""
	}
	return n.Value
}

func (r *rulesReader) rule(n *yaml.Node) {
	c := creationRule{line: n.Line}
	read := map[string]func(*yaml.Node){
		"path_regex": func(n *yaml.Node) {
			pattern := r.text(n, "path_regex")
			re, err := compile(pattern)
			if err != nil {
				r.add(n, "quote it with ' and not with \", so that \\ stays as it is", "path_regex: %s", err)
			}
			if pattern != "" {
				c.path = re
			}
		},
		"age":                func(n *yaml.Node) { r.recipients(n, &c) },
		"key_groups":         func(n *yaml.Node) { r.items(n, "key_groups", func(n *yaml.Node) { c.groups++; r.group(n, &c, 0) }) },
		"shamir_threshold":   func(*yaml.Node) {},
		"aws_profile":        func(*yaml.Node) {},
		"mac_only_encrypted": func(n *yaml.Node) { c.MACOnlyEncrypted = r.boolean(n, "mac_only_encrypted") },
	}
	for name, field := range c.rules() {
		read[name] = func(n *yaml.Node) { *field = r.text(n, name) }
	}
	for key, name := range map[string]string{"pgp": "PGP", "kms": "AWS KMS", "gcp_kms": "GCP KMS", "hckms": "HuaweiCloud KMS",
		"azure_keyvault": "Azure Key Vault", "hc_vault_transit_uri": "HashiCorp Vault"} {
		read[key] = func(n *yaml.Node) { r.other(n, &c, name) }
	}
	r.entries(n, "a rule", read, false)
	if _, err := c.selector(); err != nil {
		r.add(n, "", "%s", err)
	}
	slices.Sort(c.others)
	if r.rules.list = append(r.rules.list, c); len(r.rules.list) == maxRules+1 {
		r.add(n, "let one rule match more files", "more than %d rules", maxRules)
	}
}

// other notes a kind of key that only sops can encrypt to.
func (r *rulesReader) other(n *yaml.Node, c *creationRule, name string) {
	if n = r.deref(n); n.Value != "" || len(n.Content) > 0 {
		c.others = append(c.others, name)
	}
}

// group reads one group of keys; merge holds more groups that belong to it.
func (r *rulesReader) group(n *yaml.Node, c *creationRule, depth int) {
	if depth > maxNested {
		r.add(n, "make it flatter", "merge is nested too deep")
		return
	}
	read := map[string]func(*yaml.Node){
		"age":   func(n *yaml.Node) { r.recipients(n, c) },
		"merge": func(n *yaml.Node) { r.items(n, "merge", func(n *yaml.Node) { r.group(n, c, depth+1) }) },
	}
	for key, name := range map[string]string{"pgp": "PGP", "kms": "AWS KMS", "gcp_kms": "GCP KMS", "hckms": "HuaweiCloud KMS",
		"azure_keyvault": "Azure Key Vault", "hc_vault": "HashiCorp Vault"} {
		read[key] = func(n *yaml.Node) { r.other(n, c, name) }
	}
	r.entries(n, "a key group", read, false)
}

// recipients reads a list of keys, or keys with commas between them.
func (r *rulesReader) recipients(n *yaml.Node, c *creationRule) {
	n = r.deref(n)
	lines := []*yaml.Node{n}
	if n.Kind == yaml.SequenceNode {
		lines = n.Content
	}
	for _, line := range lines {
		for key := range strings.SplitSeq(r.text(line, "age"), ",") {
			if key = plainKey(key); key == "" {
				continue
			}
			if _, err := parseRecipient(key); err != nil {
				r.add(line, "copy it from what age-keygen or \"holdfast register\" prints", "%s", err)
				continue
			}
			if !slices.Contains(c.Recipients, key) {
				c.Recipients = append(c.Recipients, key)
			}
		}
	}
	if len(c.Recipients) > maxRecipients {
		r.add(n, "give each site a file of its own", "more than %d recipients", maxRecipients)
		c.Recipients = nil
	}
}

func (r *rulesReader) boolean(n *yaml.Node, what string) bool {
	var v bool
	if err := r.deref(n).Decode(&v); err != nil {
		r.add(n, "write true or false", "%s must be true or false", what)
	}
	return v
}

// stores reads how files are indented.
func (r *rulesReader) stores(n *yaml.Node) {
	indent := func(format Format) func(*yaml.Node) {
		return func(n *yaml.Node) {
			r.entries(n, fmt.Sprintf("stores.%s", format), map[string]func(*yaml.Node){"indent": func(n *yaml.Node) {
				var spaces int
				if err := r.deref(n).Decode(&spaces); err != nil || spaces < -1 || spaces > maxIndent {
					r.add(n, "write a number of spaces", "indent must be a number up to %d", maxIndent)
				}
				r.rules.indent[format] = spaces
			}}, true)
		}
	}
	r.entries(n, "stores", map[string]func(*yaml.Node){"yaml": indent(YAML), "json": indent(JSON), "json_binary": indent(Binary)}, true)
}
