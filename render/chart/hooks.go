package chart

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/holdfast-fleet/holdfast/fleet"
)

const hookAnnotation = "helm.sh/hook"

// Documents returns the objects of what the release rendered, without tests.
// Its error joins [fleet.Problem]s: other hooks have nobody who runs them.
func (r Release) Documents(m Manifest, limits fleet.Limits) ([]*yaml.Node, error) {
	docs, err := fleet.ParseYAML(m.File, m.Text, limits)
	var found *fleet.Problem
	if errors.As(err, &found) {
		return nil, r.renderedProblem(m, found)
	}
	var out []*yaml.Node
	var errs []error
	for _, doc := range docs {
		var head struct {
			Kind     string `yaml:"kind"`
			Metadata struct {
				Name        string         `yaml:"name"`
				Annotations map[string]any `yaml:"annotations"`
			} `yaml:"metadata"`
		}
		if doc.Content[0].Kind == yaml.ScalarNode && doc.Content[0].ShortTag() == "!!null" {
			continue
		}
		_ = doc.Decode(&head) // what is no object is told later
		events, isHook := head.Metadata.Annotations[hookAnnotation]
		switch {
		case !isHook:
			out = append(out, doc)
		case r.NoHooks || onlyTests(fmt.Sprint(events)):
		default:
			errs = append(errs, &fleet.Problem{File: m.File, Line: r.lineOf(m, hookAnnotation), Rule: fleet.RuleChart,
				Msg: fmt.Sprintf("%s %s is a hook (%v), which helm alone would run (release %s)", head.Kind, head.Metadata.Name, events, r.Name),
				Tip: "turn it off by a value of the chart, or all of them by skipHooks: true, and put what it did into a layer that others depend on"})
		}
	}
	return out, errors.Join(errs...)
}

func onlyTests(events string) bool {
	for event := range strings.SplitSeq(events, ",") {
		switch strings.ToLower(strings.TrimSpace(event)) {
		case "test", "test-success", "test-failure":
		default:
			return false
		}
	}
	return true
}

// renderedProblem tells of a line that stands in no file.
func (r Release) renderedProblem(m Manifest, found *fleet.Problem) error {
	lines := bytes.Split(m.Text, []byte("\n"))
	msg := fmt.Sprintf("release %s renders %s into something else than objects: %s", r.Name, m.Source, found.Msg)
	if found.Line > 0 && found.Line <= len(lines) {
		line := []rune(strings.TrimSpace(string(lines[found.Line-1])))
		msg += fmt.Sprintf(" in line %d of it: %q", found.Line, string(line[:min(len(line), 60)]))
	}
	return &fleet.Problem{File: m.File, Msg: msg, Tip: "correct the values that go into it; \"helm template\" shows what it renders", Rule: fleet.RuleChart}
}

// lineOf finds the first line of a manifest's file with a text, or 0.
func (r Release) lineOf(m Manifest, text string) int {
	for i, line := range bytes.Split(r.Files[strings.TrimPrefix(m.File, r.Dir+"/")], []byte("\n")) {
		if bytes.Contains(line, []byte(text)) {
			return i + 1
		}
	}
	return 0
}
