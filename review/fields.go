package review

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"

	"github.com/holdfast-fleet/holdfast/render"
)

// maxValue is how many bytes of a value are shown.
const maxValue = 4 << 10

// comparison collects what differs between two states of an object.
type comparison struct {
	secret bool
	fields []Field
}

// compareObjects lists the fields that differ, in a stable order.
func compareObjects(old, current map[string]any) []Field {
	c := comparison{secret: isSecret(old) || isSecret(current)}
	c.value("", old, current)
	return c.fields
}

func isSecret(o map[string]any) bool { return o["apiVersion"] == "v1" && o["kind"] == "Secret" }

// absent is the value of a field that is not there.
type absent struct{}

func (c *comparison) value(at string, old, current any) {
	if reflect.DeepEqual(old, current) {
		return
	}
	if c.hides(at) {
		c.hidden(at, old, current)
		return
	}
	if c.secret && (at == "metadata" || at == "metadata.annotations") {
		old, current = orEmpty(old), orEmpty(current)
	}
	switch a := old.(type) {
	case map[string]any:
		if b, ok := current.(map[string]any); ok {
			c.object(at, a, b)
			return
		}
	case []any:
		if b, ok := current.([]any); ok {
			c.list(at, a, b)
			return
		}
	}
	c.add(Field{Path: at, Old: encode(old), New: encode(current)})
}

// orEmpty makes a map of what is absent, so that what comes with it is looked at.
func orEmpty(v any) any {
	if _, none := v.(absent); none {
		return map[string]any{}
	}
	return v
}

func (c *comparison) add(f Field) { c.fields = append(c.fields, f) }

func (c *comparison) object(at string, old, current map[string]any) {
	keys := map[string]any{}
	maps.Copy(keys, old)
	maps.Copy(keys, current)
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		c.value(join(at, key), get(old, key), get(current, key))
	}
}

func get(m map[string]any, key string) any {
	if v, ok := m[key]; ok {
		return v
	}
	return absent{}
}

var plainKey = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_-]*$`)

func join(at, key string) string {
	switch {
	case !plainKey.MatchString(key):
		return at + fmt.Sprintf("[%q]", key)
	case at == "":
		return key
	}
	return at + "." + key
}

// hiddenPaths are of what a Secret keeps; the annotation is a copy of all of it.
var hiddenPaths = regexp.MustCompile(`^(data|stringData)(\.|\[|$)|^metadata\.annotations(\["kubectl\.kubernetes\.io/last-applied-configuration"\])$`)

func (c *comparison) hides(at string) bool { return c.secret && hiddenPaths.MatchString(at) }

// hidden goes down to the entries, and says of those their size alone.
func (c *comparison) hidden(at string, old, current any) {
	a, aMap := old.(map[string]any)
	b, bMap := current.(map[string]any)
	_, noA := old.(absent)
	_, noB := current.(absent)
	if (aMap || noA) && (bMap || noB) && (aMap || bMap) {
		c.object(at, a, b)
		return
	}
	c.add(Field{Path: at, Old: sizeOf(at, old), New: sizeOf(at, current), Hidden: true})
}

func sizeOf(at string, v any) json.RawMessage {
	if _, none := v.(absent); none {
		return nil
	}
	n := len(encode(v))
	if text, ok := v.(string); ok {
		if digest, sealed := render.Sealed(text); sealed {
			return encode("encrypted " + digest[:12])
		}
		n = len(text)
		if raw, err := base64.StdEncoding.DecodeString(text); err == nil && at[:4] == "data" {
			n = len(raw)
		}
	}
	return encode(fmt.Sprintf("%d bytes", n))
}

// encode returns the JSON of a value, cut if it is long; nil if there is none.
func encode(v any) json.RawMessage {
	if _, none := v.(absent); none {
		return nil
	}
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return json.RawMessage(`"?"`) // what was JSON before is JSON
	}
	data := bytes.TrimSpace(buf.Bytes())
	if len(data) <= maxValue {
		return data
	}
	cut, err := json.Marshal(string(bytes.ToValidUTF8(data[:maxValue/2], nil)) + fmt.Sprintf("… (%d bytes)", len(data)))
	if err != nil {
		return json.RawMessage(`"?"`)
	}
	return cut
}
