package secrets

import (
	"bytes"
	"errors"
	"io"
	"regexp"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// yamlReader turns the nodes of a YAML file into values. Comments become lines of
// their own, in the order in which sops takes them.
type yamlReader struct {
	file  string
	left  int // values that may still come
	depth int
}

func parseYAML(file string, data []byte) ([]mapping, error) {
	r := &yamlReader{file: file, left: maxValues}
	var docs []mapping
	for dec := yaml.NewDecoder(bytes.NewReader(data)); ; {
		var doc yaml.Node
		err := dec.Decode(&doc)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, r.syntax(err)
		}
		m, err := r.document(&doc)
		if err != nil {
			return nil, err
		}
		docs = append(docs, m)
	}
	if len(docs) == 0 {
		docs = []mapping{{}}
	}
	return docs, nil
}

var yamlLine = regexp.MustCompile(`line (\d+)`)

// syntax says where the parser stopped; what it says beside may quote a secret.
func (r *yamlReader) syntax(err error) error {
	line := 0
	if m := yamlLine.FindStringSubmatch(err.Error()); m != nil {
		line, _ = strconv.Atoi(m[1])
	}
	return problemf(r.file, line, "look at indentation, quotes and brackets there and on the line before", "not YAML")
}

func (r *yamlReader) document(doc *yaml.Node) (mapping, error) {
	var m mapping
	m.comments(doc.HeadComment, doc.LineComment)
	for _, root := range doc.Content {
		switch {
		case root.Kind == yaml.MappingNode:
			inner, err := r.mapping(root, true)
			if err != nil {
				return nil, err
			}
			m = append(m, inner...)
		case root.Kind == yaml.ScalarNode && root.ShortTag() == "!!null":
			m.comments(root.HeadComment, root.LineComment, root.FootComment)
		default:
			return nil, problemf(r.file, root.Line, "write it as key: value", "a SOPS document must be a mapping")
		}
	}
	m.comments(doc.FootComment)
	return m, nil
}

// enter counts a value and a level of nesting.
func (r *yamlReader) enter(n *yaml.Node) error {
	if r.left--; r.left < 0 {
		return problemf(r.file, n.Line, "split the file", "more than %d values once aliases are followed", maxValues)
	}
	if r.depth++; r.depth > maxDepth {
		return problemf(r.file, n.Line, "make it flatter", "nested deeper than %d", maxDepth)
	}
	return nil
}

// mapping reads a mapping; outer says that the comments around it belong into it.
func (r *yamlReader) mapping(n *yaml.Node, outer bool) (mapping, error) {
	m := mapping{}
	if outer {
		m.comments(n.HeadComment, n.LineComment)
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		k, err := r.scalar(key)
		if err != nil {
			return nil, err
		}
		name, ok := k.(string)
		if !ok || key.Kind != yaml.ScalarNode {
			return nil, problemf(r.file, key.Line, "put it into quotes", "a key that is not text")
		}
		if seen[name] {
			return nil, problemf(r.file, key.Line, "remove one of them", "the key %s is there twice", name)
		}
		seen[name] = true
		m.comments(key.HeadComment, key.LineComment)
		own := value.Kind == yaml.ScalarNode || value.Kind == yaml.AliasNode
		if own {
			m.comments(value.HeadComment)
			m.inline(value.LineComment)
		}
		v, err := r.value(value, !own)
		if err != nil {
			return nil, err
		}
		m = append(m, pair{key: name, value: v, line: key.Line})
		if own {
			m.comments(value.FootComment)
		}
		m.comments(key.FootComment)
	}
	if outer {
		m.comments(n.FootComment)
	}
	return m, nil
}

func (r *yamlReader) list(n *yaml.Node, outer bool) (list, error) {
	var notes mapping
	l := list{}
	take := func() {
		for _, p := range notes {
			l = append(l, *p.note)
		}
		notes = nil
	}
	if outer {
		notes.comments(n.HeadComment, n.LineComment)
	}
	for _, item := range n.Content {
		notes.comments(item.HeadComment)
		notes.inline(item.LineComment)
		take()
		v, err := r.value(item, false)
		if err != nil {
			return nil, err
		}
		l = append(l, v)
		notes.comments(item.FootComment)
	}
	if outer {
		notes.comments(n.FootComment)
	}
	take()
	return l, nil
}

func (r *yamlReader) value(n *yaml.Node, outer bool) (any, error) {
	if err := r.enter(n); err != nil {
		return nil, err
	}
	defer func() { r.depth-- }()
	switch n.Kind {
	case yaml.MappingNode:
		return r.mapping(n, outer)
	case yaml.SequenceNode:
		return r.list(n, outer)
	case yaml.AliasNode:
		return r.value(n.Alias, true)
	}
	return r.scalar(n)
}

func (r *yamlReader) scalar(n *yaml.Node) (any, error) {
	var v any
	if err := n.Decode(&v); err != nil {
		return nil, problemf(r.file, n.Line, "quote it if the text is meant", "a value that is not of its type")
	}
	switch v.(type) {
	case nil, string, int, float64, bool, time.Time:
		return v, nil
	}
	return nil, problemf(r.file, n.Line, "quote it if the text is meant", "a value of a type that SOPS does not have")
}

// comments appends lines of comment.
func (m *mapping) comments(texts ...string) {
	for _, text := range texts {
		m.addComment(text, false)
	}
}

func (m *mapping) inline(text string) { m.addComment(text, true) }

func (m *mapping) addComment(text string, inline bool) {
	for line := range strings.SplitSeq(text, "\n") {
		if line = strings.TrimSpace(line); line != "" {
			*m = append(*m, pair{note: &comment{strings.TrimPrefix(line, "#"), inline}})
		}
	}
}
