package conformance

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
)

// breakage is an object with one thing changed.
type breakage struct {
	what, where string
	raw         []byte
}

// breakages breaks an object in up to n ways, spread over its fields: the same
// each time.
func breakages(raw []byte, n int) []breakage {
	var root any
	if json.Unmarshal(raw, &root) != nil {
		return nil
	}
	var all []breakage
	paths := pathsOf(root, nil)
	step := max(1, len(paths)/n)
	for i := 0; i < len(paths); i += step {
		for _, w := range ways() {
			if b, ok := broken(raw, paths[i], w); ok {
				all = append(all, b)
			}
		}
	}
	return all
}

type way struct {
	what string
	do   func(parent map[string]any, key string) bool
}

func ways() []way {
	put := func(what string, fits func(any) bool, value any) way {
		return way{what, func(parent map[string]any, key string) bool {
			if !fits(parent[key]) {
				return false
			}
			parent[key] = value
			return true
		}}
	}
	isText := func(v any) bool { _, ok := v.(string); return ok }
	isNumber := func(v any) bool { _, ok := v.(float64); return ok }
	isList := func(v any) bool { _, ok := v.([]any); return ok }
	anything := func(any) bool { return true }
	return []way{
		put("null", anything, nil),
		put("a number for a text", isText, 7),
		put("another text", isText, "Two words, and not base64"),
		put("true for a text", isText, true),
		put("a text for a number", isNumber, "seven"),
		put("a fraction", isNumber, 7.5),
		put("a large number", isNumber, 3e10),
		put("a text in place of all", anything, "text"),
		put("a mapping in place of all", anything, map[string]any{"a": "b"}),
		put("an empty list", isList, []string{}),
		put("a list with null in it", isList, []*int{nil}),
		{"a field that is gone", func(parent map[string]any, key string) bool { delete(parent, key); return true }},
		{"a field with a typo", func(parent map[string]any, key string) bool {
			parent[key+"x"] = parent[key]
			delete(parent, key)
			return true
		}},
		{"a field more", func(parent map[string]any, key string) bool { parent["more"] = "text"; return true }},
	}
}

func broken(raw []byte, path []string, w way) (breakage, bool) {
	var root any
	if json.Unmarshal(raw, &root) != nil {
		return breakage{}, false
	}
	at := root
	for _, step := range path[:len(path)-1] {
		switch v := at.(type) {
		case map[string]any:
			at = v[step]
		case []any:
			i, _ := strconv.Atoi(step)
			at = v[i]
		}
	}
	parent, ok := at.(map[string]any)
	if !ok || !w.do(parent, path[len(path)-1]) {
		return breakage{}, false
	}
	out, err := json.Marshal(root)
	return breakage{w.what, fmt.Sprintf("%s at %v", w.what, path), out}, err == nil
}

// pathsOf lists the fields of a value, in order.
func pathsOf(v any, at []string) (paths [][]string) {
	switch v := v.(type) {
	case map[string]any:
		for _, key := range slices.Sorted(maps.Keys(v)) {
			path := append(slices.Clone(at), key)
			paths = append(append(paths, path), pathsOf(v[key], path)...)
		}
	case []any:
		for i, item := range v {
			paths = append(paths, pathsOf(item, append(slices.Clone(at), strconv.Itoa(i)))...)
		}
	}
	return paths
}
