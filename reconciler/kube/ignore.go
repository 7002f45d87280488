package kube

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"github.com/holdfast-fleet/holdfast/fleet"
)

// IgnoreAnnotation on an object of a layer names more fields that are others'
// once it is there: JSON pointers with spaces between them.
const IgnoreAnnotation = "holdfast.dev/ignore"

// ApplyAnnotation with the value "once" on an object of a layer leaves all of it to
// others once it is there.
const ApplyAnnotation = "holdfast.dev/apply"

// pointer is a JSON pointer, in parts; * stands for each item or key.
type pointer []string

func parsePointer(text string) pointer {
	parts := strings.Split(strings.TrimPrefix(text, "/"), "/")
	for i, part := range parts {
		parts[i] = strings.NewReplacer("~1", "/", "~0", "~").Replace(part)
	}
	return parts
}

// ignored lists the fields of an object that are others' once it is there.
func ignored(rules []fleet.Ignore, u *unstructured.Unstructured) []pointer {
	var out []pointer
	for _, rule := range rules {
		if (rule.Kind == "" || rule.Kind == u.GetKind()) && (rule.Name == "" || rule.Name == u.GetName()) {
			for _, field := range rule.Fields {
				out = append(out, parsePointer(field))
			}
		}
	}
	for _, field := range strings.Fields(u.GetAnnotations()[IgnoreAnnotation]) {
		if strings.HasPrefix(field, "/") {
			out = append(out, parsePointer(field))
		}
	}
	return out
}

// scaled makes rules of the autoscalers in a layer: how many replicas their
// targets have is theirs.
func scaled(items []item) ([]fleet.Ignore, error) {
	var rules []fleet.Ignore
	for _, it := range items {
		if it.gvk.Group != "autoscaling" || it.gvk.Kind != "HorizontalPodAutoscaler" {
			continue
		}
		u, err := it.value(nil)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", it.object, err)
		}
		kind, _, _ := unstructured.NestedString(u.Object, "spec", "scaleTargetRef", "kind")
		name, _, _ := unstructured.NestedString(u.Object, "spec", "scaleTargetRef", "name")
		if kind != "" && name != "" {
			rules = append(rules, fleet.Ignore{Kind: kind, Name: name, Fields: []string{"/spec/replicas"}})
		}
	}
	return rules, nil
}

// strip removes the field from a value, wherever it points.
func (p pointer) strip(v any) {
	last := len(p) == 1
	switch v := v.(type) {
	case map[string]any:
		for key, item := range v {
			if p[0] != "*" && p[0] != key {
				continue
			}
			if last {
				delete(v, key)
			} else {
				p[1:].strip(item)
			}
		}
	case []any:
		for i, item := range v {
			if !last && (p[0] == "*" || p[0] == strconv.Itoa(i)) {
				p[1:].strip(item)
			}
		}
	}
}

// covers says whether a field of an object, as declared, is the one that the
// pointer points at, or inside it.
func (p pointer) covers(path fieldpath.Path, declared any) bool {
	if len(path) < len(p) {
		return false
	}
	for i, part := range p {
		e := path[i]
		if part != "*" && !matches(part, e, declared) {
			return false
		}
		declared = child(declared, e)
	}
	return true
}

func matches(part string, e fieldpath.PathElement, declared any) bool {
	switch {
	case e.FieldName != nil:
		return part == *e.FieldName
	case e.Index != nil:
		return part == strconv.Itoa(*e.Index)
	case e.Key != nil:
		at, err := strconv.Atoi(part)
		list, _ := declared.([]any)
		return err == nil && at >= 0 && at < len(list) && hasKey(list[at], e)
	}
	return false
}

// child is the part of a declared value that a path leads to; nil if there is none.
func child(declared any, e fieldpath.PathElement) any {
	switch v := declared.(type) {
	case map[string]any:
		if e.FieldName != nil {
			return v[*e.FieldName]
		}
	case []any:
		if e.Index != nil && *e.Index < len(v) {
			return v[*e.Index]
		}
		if at := slices.IndexFunc(v, func(item any) bool { return hasKey(item, e) }); at >= 0 {
			return v[at]
		}
	}
	return nil
}

// hasKey says whether an item of a list is the one with the element's key. A
// part of the key that is not declared has its default, which is not known here.
func hasKey(item any, e fieldpath.PathElement) bool {
	object, ok := item.(map[string]any)
	if !ok || e.Key == nil {
		return false
	}
	for _, field := range *e.Key {
		if have, declared := object[field.Name]; declared && fmt.Sprint(have) != fmt.Sprint(field.Value.Unstructured()) {
			return false
		}
	}
	return true
}
