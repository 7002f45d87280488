package secrets

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

const yamlIndent = 4 // as sops writes it without a configuration

func writeYAML(docs []mapping, indent int) ([]byte, error) {
	if indent <= 0 {
		indent = yamlIndent
	}
	var out bytes.Buffer
	enc := yaml.NewEncoder(&out)
	enc.SetIndent(indent)
	for _, doc := range docs {
		root, err := mappingNode(doc)
		if err != nil {
			return nil, err
		}
		if err := enc.Encode(&yaml.Node{Kind: yaml.DocumentNode, Content: []*yaml.Node{root}}); err != nil {
			return nil, errors.New("write YAML")
		}
	}
	if err := enc.Close(); err != nil {
		return nil, errors.New("write YAML")
	}
	return out.Bytes(), nil
}

// notes are comments that wait for what they stand before.
type notes struct{ above, beside []string }

func (n *notes) add(c comment) {
	if c.inline {
		n.beside = append(n.beside, c.text)
	} else {
		n.above = append(n.above, c.text)
	}
}

// put moves the lines into a node's field, before or after what is there.
func put(field *string, lines *[]string) {
	if len(*lines) > 0 {
		*field = strings.TrimPrefix(*field+"\n#"+strings.Join(*lines, "\n#"), "\n")
		*lines = nil
	}
}

func mappingNode(m mapping) (*yaml.Node, error) {
	n := &yaml.Node{Kind: yaml.MappingNode}
	var waiting notes
	for _, p := range m {
		if p.note != nil {
			waiting.add(*p.note)
			continue
		}
		key, err := scalarNode(p.key)
		if p.key == "<<" {
			key = &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!merge", Value: p.key} // quoted, it would not merge
		}
		if err != nil {
			return nil, err
		}
		value, err := valueNode(p.value)
		if err != nil {
			return nil, err
		}
		if len(n.Content) == 0 {
			put(&n.HeadComment, &waiting.above)
		} else {
			put(&key.HeadComment, &waiting.above)
		}
		put(&value.LineComment, &waiting.beside)
		n.Content = append(n.Content, key, value)
	}
	rest := slices.Concat(waiting.above, waiting.beside)
	if len(n.Content) == 0 {
		put(&n.HeadComment, &rest)
	} else {
		put(&n.Content[len(n.Content)-2].FootComment, &rest)
	}
	return n, nil
}

func listNode(l list) (*yaml.Node, error) {
	n := &yaml.Node{Kind: yaml.SequenceNode}
	var waiting notes
	for _, v := range l {
		if c, isComment := v.(comment); isComment {
			waiting.add(c)
			continue
		}
		item, err := valueNode(v)
		if err != nil {
			return nil, err
		}
		if len(n.Content) == 0 {
			put(&n.HeadComment, &waiting.above)
		} else {
			above := ""
			put(&above, &waiting.above)
			item.HeadComment = strings.Trim(above+"\n"+item.HeadComment, "\n")
		}
		put(&item.LineComment, &waiting.beside)
		n.Content = append(n.Content, item)
	}
	rest := slices.Concat(waiting.above, waiting.beside)
	if len(n.Content) == 0 {
		put(&n.HeadComment, &rest)
	} else {
		put(&n.Content[len(n.Content)-1].FootComment, &rest)
	}
	return n, nil
}

func valueNode(v any) (*yaml.Node, error) {
	switch v := v.(type) {
	case mapping:
		return mappingNode(v)
	case list:
		return listNode(v)
	case []byte:
		return scalarNode(string(v))
	}
	return scalarNode(v)
}

func scalarNode(v any) (*yaml.Node, error) {
	n := &yaml.Node{}
	if err := n.Encode(v); err != nil {
		return nil, fmt.Errorf("write a value of type %T as YAML", v)
	}
	return n, nil
}
