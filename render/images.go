package render

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
)

// Images returns the references of the images that the objects' pods run, sorted.
func Images(objects []json.RawMessage) ([]string, error) {
	found := map[string]bool{}
	for _, raw := range objects {
		var v map[string]any
		if err := json.Unmarshal(raw, &v); err != nil {
			return nil, err
		}
		eachImage(v, func(ref string) string { found[ref] = true; return ref })
	}
	return slices.Sorted(maps.Keys(found)), nil
}

// pin replaces each image that the lock knows by its digest, and notes in
// images what digest belongs to what reference; an unknown one is "".
func pin(o object, locked, images map[string]string) {
	if o.kind == "CustomResourceDefinition" {
		return
	}
	eachImage(o.value, func(ref string) string {
		if _, digest, ok := strings.Cut(ref, "@"); ok {
			images[ref] = digest
			return ref
		}
		digest := locked[ref]
		images[ref] = digest
		if digest == "" {
			return ref
		}
		return ref + "@" + digest
	})
}

// eachImage replaces the image references in whatever has the shape of a pod's
// specification, in custom resources too.
func eachImage(v any, replace func(string) string) {
	switch v := v.(type) {
	case []any:
		for _, item := range v {
			eachImage(item, replace)
		}
	case map[string]any:
		for _, key := range slices.Sorted(maps.Keys(v)) {
			if list, ok := v[key].([]any); ok {
				switch key {
				case "containers", "initContainers", "ephemeralContainers":
					eachReference(list, "image", replace)
				case "volumes":
					for _, item := range list {
						if volume, ok := item.(map[string]any); ok {
							eachReference([]any{volume["image"]}, "reference", replace)
						}
					}
				}
			}
			eachImage(v[key], replace)
		}
	}
}

func eachReference(list []any, key string, replace func(string) string) {
	for _, item := range list {
		m, ok := item.(map[string]any)
		if !ok {
			continue
		}
		if ref, ok := m[key].(string); ok && ref != "" {
			m[key] = replace(ref)
		}
	}
}
