package render

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
)

// Images returns the references of the images that the objects' pods run, sorted.
func Images(objects []json.RawMessage) ([]string, error) {
	found := map[string]bool{}
	for _, raw := range objects {
		if !bytes.Contains(raw, []byte(`"image"`)) {
			continue // most name none, and decoding takes its time
		}
		var v map[string]any
		if err := json.Unmarshal(raw, &v); err != nil {
			return nil, err
		}
		kind, _ := v["kind"].(string)
		t, err := newTemplate(object{kind: kind, value: v}, false)
		if err != nil {
			return nil, err
		}
		for _, s := range t.Slots {
			found[s.Value] = true
		}
	}
	return slices.Sorted(maps.Keys(found)), nil
}
