package trust

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

const (
	apiVersion = "holdfast.dev/v1alpha1"
	policyKind = "TrustPolicy"
	maxPolicy  = 256 << 10 // bytes
)

// Policy says who may change which paths of a fleet.
type Policy struct {
	groups map[string][]string
	rules  []rule
}

type rule struct {
	paths  []string
	groups []string
}

// lined is a YAML value that remembers its line.
type lined[T any] struct {
	value T
	line  int
}

func (l *lined[T]) UnmarshalYAML(node *yaml.Node) error {
	l.line = node.Line
	return node.Decode(&l.value)
}

type policyFile struct {
	APIVersion lined[string] `yaml:"apiVersion"`
	Kind       lined[string] `yaml:"kind"`
	Metadata   struct {
		Name        string            `yaml:"name"`
		Labels      map[string]string `yaml:"labels"`
		Annotations map[string]string `yaml:"annotations"`
	} `yaml:"metadata"`
	Spec struct {
		Mode   lined[string]              `yaml:"mode"`
		Groups map[string][]lined[string] `yaml:"groups"`
		Rules  []policyRule               `yaml:"rules"`
	} `yaml:"spec"`
}

type policyRule struct {
	Paths     []lined[string] `yaml:"paths"`
	Groups    []lined[string] `yaml:"groups"`
	Threshold lined[int]      `yaml:"threshold"`
}

// ParsePolicy reads a TrustPolicy, strictly: the name is for errors, which are
// *[Problem]s.
//
// The first rule with a pattern that matches a path decides who may change it;
// a path that no rule matches may not be changed at all. In patterns, "**"
// stands for any number of folders, "*" and "?" for a part of one name.
func ParsePolicy(name string, data []byte) (*Policy, error) {
	if len(data) > maxPolicy {
		return nil, &Problem{File: name, Msg: fmt.Sprintf("policy is larger than %d bytes", maxPolicy)}
	}
	var file policyFile
	if err := decodeStrict(data, &file); err != nil {
		return nil, yamlProblem(name, err)
	}
	p := &Policy{groups: make(map[string][]string)}
	if problem := p.load(&file); problem != nil {
		problem.File = name
		return nil, problem
	}
	return p, nil
}

func decodeStrict(data []byte, into any) error {
	var root yaml.Node
	if err := yaml.Unmarshal(data, &root); err != nil {
		return err
	}
	if err := refuseAliases(&root); err != nil {
		return err
	}
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	decoder.KnownFields(true)
	if err := decoder.Decode(into); errors.Is(err, io.EOF) {
		return errors.New("policy is empty")
	} else if err != nil {
		return err
	}
	if err := decoder.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return errors.New("policy has more than one document")
	}
	return nil
}

func refuseAliases(node *yaml.Node) error {
	if node.Kind == yaml.AliasNode || node.Anchor != "" {
		return fmt.Errorf("line %d: anchors and aliases are not allowed", node.Line)
	}
	for _, child := range node.Content {
		if err := refuseAliases(child); err != nil {
			return err
		}
	}
	return nil
}

// yamlProblem takes the line out of an error of the YAML library.
func yamlProblem(name string, err error) *Problem {
	text := err.Error()
	var typeError *yaml.TypeError
	if errors.As(err, &typeError) && len(typeError.Errors) > 0 {
		text = typeError.Errors[0]
	}
	problem := &Problem{File: name, Msg: strings.TrimPrefix(text, "yaml: ")}
	if rest, ok := strings.CutPrefix(problem.Msg, "line "); ok {
		if number, msg, ok := strings.Cut(rest, ": "); ok {
			problem.Line, _ = strconv.Atoi(number)
			problem.Msg = msg
		}
	}
	if i := strings.Index(problem.Msg, " in type "); i > 0 {
		problem.Msg = problem.Msg[:i] + " in a TrustPolicy"
	}
	problem.Msg = strings.ReplaceAll(problem.Msg, "trust.policyFile", "a TrustPolicy")
	problem.Msg = strings.ReplaceAll(problem.Msg, "trust.policyRule", "a rule")
	return problem
}

func (p *Policy) load(file *policyFile) *Problem {
	switch spec := &file.Spec; {
	case file.APIVersion.value != apiVersion:
		return &Problem{Line: file.APIVersion.line, Msg: "apiVersion is not " + apiVersion}
	case file.Kind.value != policyKind:
		return &Problem{Line: file.Kind.line, Msg: "kind is not " + policyKind}
	case spec.Mode.value == "releases":
		return &Problem{Line: spec.Mode.line, Msg: "mode releases is not supported by this version", Tip: "write mode: commit"}
	case spec.Mode.value != "commit":
		return &Problem{Line: spec.Mode.line, Msg: fmt.Sprintf("spec.mode is %q", clip(spec.Mode.value)), Tip: "write mode: commit"}
	case len(spec.Rules) == 0:
		return &Problem{Msg: "spec.rules is empty, so nobody could change anything", Tip: "add a rule, or remove the policy: then every key of trust/ may change everything"}
	}
	for name, members := range file.Spec.Groups {
		for _, member := range members {
			if member.value == "" {
				return &Problem{Line: member.line, Msg: "group " + name + " has an empty member"}
			}
			p.groups[name] = append(p.groups[name], member.value)
		}
	}
	for i, r := range file.Spec.Rules {
		if problem := p.addRule(i, &r); problem != nil {
			return problem
		}
	}
	return nil
}

func (p *Policy) addRule(i int, r *policyRule) *Problem {
	if len(r.Paths) == 0 || len(r.Groups) == 0 {
		return &Problem{Msg: fmt.Sprintf("spec.rules[%d] needs paths and groups", i)}
	}
	if t := r.Threshold; t.line > 0 && t.value != 1 {
		msg := fmt.Sprintf("threshold %d is not supported by this version", t.value)
		if t.value < 1 {
			msg = "threshold is below 1"
		}
		return &Problem{Line: t.line, Msg: msg, Tip: "write threshold: 1"}
	}
	var loaded rule
	for _, pattern := range r.Paths {
		if err := checkPattern(pattern.value); err != nil {
			return &Problem{Line: pattern.line, Msg: err.Error()}
		}
		loaded.paths = append(loaded.paths, pattern.value)
	}
	for _, group := range r.Groups {
		if len(p.groups[group.value]) == 0 {
			return &Problem{Line: group.line, Msg: fmt.Sprintf("group %q has no members in spec.groups", clip(group.value))}
		}
		loaded.groups = append(loaded.groups, group.value)
	}
	p.rules = append(p.rules, loaded)
	return nil
}

// Check returns nil if signer alone may change all of the paths. Errors wrap
// [ErrForbiddenPath], name the first path that is not allowed, and who may.
func (p *Policy) Check(signer Signer, changedPaths []string) error {
	for _, path := range changedPaths {
		r := p.rule(path)
		if r == nil {
			return fmt.Errorf("%w: %s: no rule of the policy lets anybody change it", ErrForbiddenPath, path)
		}
		if members := p.members(r); !slices.Contains(members, signer.Name) {
			return fmt.Errorf("%w: %s may be changed by %s (%s), not by %s",
				ErrForbiddenPath, path, strings.Join(r.groups, ", "), strings.Join(members, ", "), signer.Name)
		}
	}
	return nil
}

// Satisfiable returns an error if a rule has no member with a key in k: nobody could change its paths again.
func (p *Policy) Satisfiable(k *Keyring) error {
	names := k.Names()
	for i := range p.rules {
		r := &p.rules[i]
		if !slices.ContainsFunc(p.members(r), func(m string) bool { return slices.Contains(names, m) }) {
			return fmt.Errorf("no member of %s has a key: nobody could change %s again",
				strings.Join(r.groups, ", "), strings.Join(r.paths, ", "))
		}
	}
	return nil
}

func (p *Policy) rule(path string) *rule {
	for i := range p.rules {
		for _, pattern := range p.rules[i].paths {
			if matchPath(pattern, path) {
				return &p.rules[i]
			}
		}
	}
	return nil
}

func (p *Policy) members(r *rule) []string {
	var members []string
	for _, group := range r.groups {
		members = append(members, p.groups[group]...)
	}
	slices.Sort(members)
	return slices.Compact(members)
}
