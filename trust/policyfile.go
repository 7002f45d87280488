package trust

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"path"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

const (
	apiVersion = "holdfast.dev/v1alpha1"
	policyKind = "TrustPolicy"
	maxPolicy  = 256 << 10 // bytes

	modeCommit   = "commit"
	modeReleases = "releases"
	anyRelease   = "v*" // pattern of release tags if the policy names none
)

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
		Mode     lined[string] `yaml:"mode"`
		Releases *struct {
			Pattern lined[string] `yaml:"pattern"`
		} `yaml:"releases"`
		People map[string][]lined[string] `yaml:"people"`
		Groups map[string][]lined[string] `yaml:"groups"`
		Rules  []policyRule               `yaml:"rules"`
	} `yaml:"spec"`
}

type policyRule struct {
	Paths     []lined[string] `yaml:"paths"`
	Groups    []lined[string] `yaml:"groups"`
	Threshold lined[int]      `yaml:"threshold"`
}

// PolicyForm is the type that a policy file is read into, for its schema.
func PolicyForm() reflect.Type { return reflect.TypeFor[policyFile]() }

// ParsePolicy reads a TrustPolicy, strictly: the name is for errors, which are
// *[Problem]s.
//
// The first rule with a pattern that matches a path decides who may change it;
// a path that no rule matches may not be changed at all. In patterns, "**"
// stands for any number of folders, "*" and "?" for a part of one name.
//
// A member of a group is a person of spec.people, or the name of a key, which is
// then a person of its own.
func ParsePolicy(name string, data []byte) (*Policy, error) {
	if len(data) > maxPolicy {
		return nil, &Problem{File: name, Msg: fmt.Sprintf("policy is larger than %d bytes", maxPolicy)}
	}
	var file policyFile
	if err := decodeStrict(data, &file); err != nil {
		return nil, yamlProblem(name, err)
	}
	p := &Policy{persons: make(map[string]string), groups: make(map[string][]string)}
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
	case len(spec.Rules) == 0:
		return &Problem{Msg: "spec.rules is empty, so nobody could change anything", Tip: "add a rule, or remove the policy: then every key of trust/ may change everything"}
	}
	for _, step := range []func(*policyFile) *Problem{p.loadMode, p.loadPeople, p.loadGroups} {
		if problem := step(file); problem != nil {
			return problem
		}
	}
	for i, r := range file.Spec.Rules {
		if problem := p.addRule(i, &r); problem != nil {
			return problem
		}
	}
	return nil
}

func (p *Policy) loadMode(file *policyFile) *Problem {
	mode, releases := file.Spec.Mode, file.Spec.Releases
	if mode.value == modeCommit {
		if releases != nil {
			return &Problem{Line: mode.line, Msg: "spec.releases has no meaning in mode commit"}
		}
		return nil
	}
	if mode.line > 0 && mode.value != modeReleases {
		return &Problem{Line: mode.line, Msg: fmt.Sprintf("spec.mode is %q", clip(mode.value)), Tip: "write mode: releases, or mode: commit"}
	}
	p.releases = anyRelease
	if releases == nil {
		return nil
	}
	p.releases = releases.Pattern.value
	if p.releases == "" {
		return &Problem{Line: releases.Pattern.line, Msg: "spec.releases has no pattern", Tip: "write pattern: " + anyRelease}
	}
	// A pattern for everything would make a release of each heartbeat.
	heartbeat, err := path.Match(p.releases, HeartbeatTag)
	if err != nil || heartbeat || strings.HasPrefix(p.releases, ApprovalPrefix) {
		return &Problem{Line: releases.Pattern.line, Msg: fmt.Sprintf("spec.releases.pattern %q is not for names of releases", clip(p.releases)), Tip: "write pattern: " + anyRelease}
	}
	return nil
}

// loadPeople makes sure that no key can count as two people.
func (p *Policy) loadPeople(file *policyFile) *Problem {
	for name, keys := range file.Spec.People {
		if name == "" || len(keys) == 0 {
			return &Problem{Msg: fmt.Sprintf("spec.people: %q has no name or no keys", clip(name)), Tip: "list names of keys or fingerprints"}
		}
		p.persons[name] = name
	}
	for name, keys := range file.Spec.People {
		for _, key := range keys {
			switch owner, known := p.persons[key.value]; {
			case key.value == "":
				return &Problem{Line: key.line, Msg: "an empty key of " + clip(name)}
			case known && owner != name:
				return &Problem{Line: key.line, Msg: fmt.Sprintf("%s is a key of %s and of %s", clip(key.value), min(owner, name), max(owner, name)), Tip: "a key counts for one person"}
			}
			p.persons[key.value] = name
		}
	}
	return nil
}

func (p *Policy) loadGroups(file *policyFile) *Problem {
	for group, members := range file.Spec.Groups {
		for _, member := range members {
			switch owner, known := p.persons[member.value]; {
			case member.value == "":
				return &Problem{Line: member.line, Msg: "group " + clip(group) + " has an empty member"}
			case known && owner != member.value:
				return &Problem{Line: member.line, Msg: fmt.Sprintf("%s is a key of %s", clip(member.value), clip(owner)), Tip: "write the person: " + owner}
			case !known && strings.HasPrefix(member.value, "SHA256:"):
				return &Problem{Line: member.line, Msg: "group " + clip(group) + " has a fingerprint for a member", Tip: "list it in spec.people and write the person here"}
			}
			p.groups[group] = append(p.groups[group], member.value)
		}
	}
	return nil
}

func (p *Policy) addRule(i int, r *policyRule) *Problem {
	if len(r.Paths) == 0 || len(r.Groups) == 0 {
		return &Problem{Msg: fmt.Sprintf("spec.rules[%d] needs paths and groups", i)}
	}
	loaded := rule{threshold: 1}
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
		loaded.members = append(loaded.members, p.groups[group.value]...)
	}
	slices.Sort(loaded.members)
	loaded.members = slices.Compact(loaded.members)
	if t := r.Threshold; t.line > 0 {
		loaded.threshold = t.value
		switch {
		case t.value < 1:
			return &Problem{Line: t.line, Msg: "threshold is below 1", Tip: "write threshold: 1"}
		case t.value > len(loaded.members):
			return &Problem{Line: t.line, Msg: fmt.Sprintf("threshold %d of %d people can never be met", t.value, len(loaded.members)), Tip: "a person counts once, with however many keys"}
		}
	}
	p.rules = append(p.rules, loaded)
	return nil
}
