package secrets

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

// binaryKey holds all of a binary document, which is JSON when encrypted.
const binaryKey = "data"

type jsonReader struct {
	file  string
	data  []byte
	dec   *json.Decoder
	left  int
	depth int
}

func parseJSON(file string, data []byte) ([]mapping, error) {
	r := &jsonReader{file: file, data: data, dec: json.NewDecoder(bytes.NewReader(data)), left: maxValues}
	r.dec.UseNumber()
	v, err := r.value()
	if err != nil {
		return nil, err
	}
	m, ok := v.(mapping)
	if !ok {
		return nil, problemf(file, 1, "put it into an object: {\"data\": …}", "a SOPS document must be an object")
	}
	if _, err := r.dec.Token(); !errors.Is(err, io.EOF) {
		return nil, r.problem("more than one JSON value")
	}
	return []mapping{m}, nil
}

// problem says where; what encoding/json says may quote a secret.
func (r *jsonReader) problem(format string, args ...any) error {
	at := min(int(r.dec.InputOffset()), len(r.data))
	return problemf(r.file, 1+bytes.Count(r.data[:at], []byte("\n")), "look there and on the line before", format, args...)
}

func (r *jsonReader) value() (any, error) {
	t, err := r.dec.Token()
	if err != nil {
		return nil, r.problem("not JSON")
	}
	if r.left--; r.left < 0 {
		return nil, r.problem("more than %d values", maxValues)
	}
	switch t := t.(type) {
	case json.Delim:
		if r.depth++; r.depth > maxDepth {
			return nil, r.problem("nested deeper than %d", maxDepth)
		}
		defer func() { r.depth-- }()
		if t == '{' {
			return r.object()
		}
		return r.array()
	case json.Number:
		if i, err := t.Int64(); err == nil {
			return int(i), nil
		}
		f, err := t.Float64()
		if err != nil {
			return nil, r.problem("a number that is too large")
		}
		return f, nil
	}
	return t, nil
}

func (r *jsonReader) object() (any, error) {
	m, seen := mapping{}, map[string]bool{}
	for r.dec.More() {
		t, err := r.dec.Token()
		key, ok := t.(string)
		if err != nil || !ok {
			return nil, r.problem("not JSON")
		}
		if seen[key] {
			return nil, r.problem("the key %s is there twice", key)
		}
		seen[key] = true
		line := 1 + bytes.Count(r.data[:r.dec.InputOffset()], []byte("\n"))
		v, err := r.value()
		if err != nil {
			return nil, err
		}
		m = append(m, pair{key: key, value: v, line: line})
	}
	return m, r.end()
}

func (r *jsonReader) array() (any, error) {
	l := list{}
	for r.dec.More() {
		v, err := r.value()
		if err != nil {
			return nil, err
		}
		l = append(l, v)
	}
	return l, r.end()
}

func (r *jsonReader) end() error {
	if _, err := r.dec.Token(); err != nil {
		return r.problem("not JSON")
	}
	return nil
}

// writeJSON writes a document as sops does; -1 indents by tabs.
func writeJSON(m mapping, indent int) ([]byte, error) {
	var flat, out bytes.Buffer
	if err := flatJSON(&flat, m); err != nil {
		return nil, err
	}
	by := "\t"
	if indent >= 0 {
		by = strings.Repeat(" ", indent)
	}
	if err := json.Indent(&out, flat.Bytes(), "", by); err != nil {
		return nil, errors.New("write JSON")
	}
	out.WriteByte('\n')
	return out.Bytes(), nil
}

func flatJSON(out *bytes.Buffer, v any) error {
	switch v := v.(type) {
	case mapping:
		out.WriteByte('{')
		comma := ""
		for _, p := range v {
			if p.note != nil {
				continue
			}
			out.WriteString(comma)
			comma = ","
			if err := flatJSON(out, p.key); err != nil {
				return err
			}
			out.WriteByte(':')
			if err := flatJSON(out, p.value); err != nil {
				return err
			}
		}
		out.WriteByte('}')
		return nil
	case list:
		out.WriteByte('[')
		comma := ""
		for _, item := range v {
			if _, isComment := item.(comment); isComment {
				continue
			}
			out.WriteString(comma)
			comma = ","
			if err := flatJSON(out, item); err != nil {
				return err
			}
		}
		out.WriteByte(']')
		return nil
	case []byte:
		return flatJSON(out, string(v))
	}
	data, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("write a value of type %T as JSON", v)
	}
	out.Write(data)
	return nil
}

// writeBinary returns what a binary document holds.
func writeBinary(m mapping) ([]byte, error) {
	switch v := m.get(binaryKey).(type) {
	case string:
		return []byte(v), nil
	case []byte:
		return v, nil
	}
	return nil, fmt.Errorf("a binary document holds its content under %q, which is not there", binaryKey)
}
