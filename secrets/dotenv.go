package secrets

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"time"
)

const (
	metadataKey    = "sops"  // of the metadata
	metadataPrefix = "sops_" // of its keys where there are no mappings
	inMapping      = "__map_"
	inList         = "__list_"
)

func parseDotenv(file string, data []byte) ([]mapping, error) {
	m, seen := mapping{}, map[string]bool{}
	line := 0
	for text := range strings.SplitSeq(string(data), "\n") {
		line++
		if text == "" {
			continue
		}
		if len(m) >= maxValues {
			return nil, problemf(file, line, "split the file", "more than %d lines", maxValues)
		}
		if note, isComment := strings.CutPrefix(text, "#"); isComment {
			m = append(m, pair{note: &comment{text: note}})
			continue
		}
		key, value, ok := strings.Cut(text, "=")
		if !ok {
			return nil, problemf(file, line, "write a value of several lines as one, with \\n in it", "not of the form KEY=value")
		}
		if seen[key] {
			return nil, problemf(file, line, "remove one of them", "the key %s is there twice", key)
		}
		seen[key] = true
		m = append(m, pair{key: key, value: strings.ReplaceAll(value, `\n`, "\n"), line: line})
	}
	return []mapping{m}, nil
}

func writeDotenv(m mapping) ([]byte, error) {
	var out bytes.Buffer
	for _, p := range m {
		if p.note != nil {
			fmt.Fprintf(&out, "#%s\n", p.note.text)
			continue
		}
		var text string
		switch v := p.value.(type) {
		case mapping, list:
			return nil, fmt.Errorf("key %s: a .env file holds no lists and mappings", p.key)
		case string:
			text = v
		case []byte:
			text = string(v)
		case time.Time:
			text = v.Format(time.RFC3339)
		case nil:
			text = ""
		default:
			text = fmt.Sprint(v)
		}
		fmt.Fprintf(&out, "%s=%s\n", p.key, strings.ReplaceAll(text, "\n", `\n`))
	}
	return out.Bytes(), nil
}

// flatten writes values as keys of a .env file: sops_age__list_0__map_enc=….
func flatten(key string, v any) mapping {
	var flat mapping
	switch v := v.(type) {
	case mapping:
		for _, p := range v {
			flat = append(flat, flatten(key+inMapping+p.key, p.value)...)
		}
	case list:
		for i, item := range v {
			flat = append(flat, flatten(key+inList+strconv.Itoa(i), item)...)
		}
	default:
		flat = mapping{{key: key, value: v}}
	}
	return flat
}

// maxNested is how deep the metadata is nested, with room to spare.
const maxNested = 8

// unflatten is the reverse of flatten, for the keys below one.
func unflatten(flat mapping) mapping {
	var m mapping
	for _, p := range flat[:min(len(flat), 4*maxRecipients)] {
		path := strings.SplitN(strings.ReplaceAll(p.key, inList, inMapping+inList), inMapping, maxNested)
		m = place(m, path, p.value)
	}
	return m
}

func place(m mapping, path []string, v any) mapping {
	if len(path) == 1 {
		return append(m, pair{key: path[0], value: v})
	}
	for i := range m {
		if m[i].key == path[0] {
			inner, _ := m[i].value.(mapping)
			m[i].value = place(inner, path[1:], v)
			return m
		}
	}
	return append(m, pair{key: path[0], value: place(nil, path[1:], v)})
}

// lists makes lists of the mappings that unflatten made of them.
func lists(v any) any {
	m, ok := v.(mapping)
	if !ok {
		return v
	}
	items := map[string]any{}
	for i := range m {
		m[i].value = lists(m[i].value)
		items[m[i].key] = m[i].value
	}
	var l list
	for i := range m {
		if item, found := items[inList+strconv.Itoa(i)]; found {
			l = append(l, item)
		}
	}
	if len(m) > 0 && len(l) == len(m) {
		return l
	}
	return m
}
