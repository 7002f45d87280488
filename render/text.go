package render

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"

	"go.yaml.in/yaml/v3"
)

// YAML shows the layer's objects to a person, or to kubectl.
func (l Layer) YAML() ([]byte, error) {
	var out bytes.Buffer
	fmt.Fprintf(&out, "# layer %s, %s\n", l.Name, l.Digest)
	for _, raw := range l.Objects {
		if err := writeDocument(&out, raw); err != nil {
			return nil, fmt.Errorf("layer %s: %w", l.Name, err)
		}
	}
	return out.Bytes(), nil
}

// YAML shows the node's Distribution to a person.
func (n Node) YAML() ([]byte, error) {
	var out bytes.Buffer
	fmt.Fprintf(&out, "# node, %s\n", n.Digest)
	err := writeDocument(&out, n.Distribution)
	return out.Bytes(), err
}

// YAML shows to a person all that the host should run, or the half that there is.
func (d Desired) YAML() ([]byte, error) {
	var out bytes.Buffer
	fmt.Fprintf(&out, "# site %s", d.Site)
	if d.Host != "" {
		fmt.Fprintf(&out, ", host %s", d.Host)
	}
	out.WriteByte('\n')
	if d.Node.Distribution != nil {
		node, err := d.Node.YAML()
		if err != nil {
			return nil, err
		}
		out.Write(node)
	}
	fmt.Fprintf(&out, "# cluster, %s\n", d.Cluster.Digest)
	for _, l := range d.Cluster.Layers {
		text, err := l.YAML()
		if err != nil {
			return nil, err
		}
		out.Write(text)
	}
	return out.Bytes(), nil
}

func writeDocument(out *bytes.Buffer, raw json.RawMessage) error {
	v, err := decode(raw)
	if err != nil {
		return err
	}
	out.WriteString("---\n")
	enc := yaml.NewEncoder(out)
	enc.SetIndent(2)
	if err := enc.Encode(v); err != nil {
		return err
	}
	return enc.Close()
}

// decode reads canonical JSON. It is not read as YAML, to which U+0085 is a
// line break that may be folded; whole numbers stay whole.
func decode(raw json.RawMessage) (any, error) {
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		return nil, err
	}
	return numbers(v), nil
}

func numbers(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for key, item := range v {
			v[key] = numbers(item)
		}
	case []any:
		for i, item := range v {
			v[i] = numbers(item)
		}
	case json.Number:
		if n, err := strconv.ParseInt(v.String(), 10, 64); err == nil {
			return n
		}
		if n, err := strconv.ParseUint(v.String(), 10, 64); err == nil {
			return n
		}
		f, _ := v.Float64() // it was encoded from one
		return f
	}
	return v
}
