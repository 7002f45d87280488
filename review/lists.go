package review

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// mergeKeys are what Kubernetes knows the items of a list by, by the list's name:
// +patchMergeKey and +listMapKey of its API types. The first that all items have,
// each its own, is taken; a list of another name is compared by index.
var mergeKeys = map[string][][]string{
	"containers":                {{"name"}},
	"initContainers":            {{"name"}},
	"ephemeralContainers":       {{"name"}},
	"env":                       {{"name"}},
	"volumes":                   {{"name"}},
	"imagePullSecrets":          {{"name"}},
	"secrets":                   {{"name"}},
	"resourceClaims":            {{"name"}},
	"volumeClaimTemplates":      {{"metadata", "name"}},
	"volumeMounts":              {{"mountPath"}},
	"volumeDevices":             {{"devicePath"}},
	"ports":                     {{"containerPort", "protocol"}, {"containerPort"}, {"port", "protocol"}, {"port"}},
	"hostAliases":               {{"ip"}},
	"topologySpreadConstraints": {{"topologyKey"}},
	"versions":                  {{"name"}},
	"webhooks":                  {{"name"}},
	"conditions":                {{"type"}},
	"ownerReferences":           {{"uid"}},
}

func (c *comparison) list(at string, old, current []any) {
	a, b, keyed := keyedBoth(at, old, current)
	if !keyed {
		for i := range max(len(old), len(current)) {
			c.value(fmt.Sprintf("%s[%d]", at, i), item(old, i), item(current, i))
		}
		return
	}
	before := len(c.fields)
	for i, key := range a {
		var now any = absent{}
		if j := slices.Index(b, key); j >= 0 {
			now = current[j]
		}
		c.value(at+"["+key+"]", old[i], now)
	}
	for j, key := range b {
		if !slices.Contains(a, key) {
			c.value(at+"["+key+"]", absent{}, current[j])
		}
	}
	if len(c.fields) == before {
		c.add(Field{Path: at + " (order)", Old: encode(a), New: encode(b)})
	}
}

func item(list []any, i int) any {
	if i < len(list) {
		return list[i]
	}
	return absent{}
}

// keyedBoth finds what the items of both lists are known by.
func keyedBoth(at string, old, current []any) (a, b []string, ok bool) {
	name := at[strings.LastIndexByte(at, '.')+1:]
	for _, by := range mergeKeys[name] {
		a, okA := keys(old, by)
		b, okB := keys(current, by)
		if okA && okB {
			return a, b, true
		}
	}
	return nil, nil, false
}

func keys(list []any, by []string) ([]string, bool) {
	var out []string
	for _, v := range list {
		m, ok := v.(map[string]any)
		if !ok {
			return nil, false
		}
		key, ok := keyOf(m, by)
		if !ok || slices.Contains(out, key) {
			return nil, false
		}
		out = append(out, key)
	}
	return out, true
}

func keyOf(m map[string]any, by []string) (string, bool) {
	if by[0] == "metadata" {
		m, _ = m["metadata"].(map[string]any)
		by = by[1:]
	}
	var parts []string
	for _, name := range by {
		switch v := m[name].(type) {
		case string:
			parts = append(parts, v)
		case json.Number:
			parts = append(parts, v.String())
		default:
			return "", false
		}
	}
	return strings.Join(parts, "/"), true
}
