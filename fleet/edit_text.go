package fleet

import (
	"bytes"
	"encoding/json"
	"strings"

	"go.yaml.in/yaml/v3"
)

// tokenEnd is the byte after a scalar, or a mapping or list in braces, that starts
// there in a line; -1 if it does not end on the line.
func tokenEnd(line string, start int, n *yaml.Node) int {
	rest := line[start:]
	switch {
	case n.Kind != yaml.ScalarNode:
		return closing(line, start)
	case n.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle) != 0:
		if end := quoteEnd(rest); end > 0 {
			return start + end
		}
		return -1
	case strings.HasPrefix(rest, n.Value):
		return start + len(n.Value)
	}
	return -1
}

// quoteEnd is the length of the quoted text that s begins with; 0 if it does not end.
func quoteEnd(s string) int {
	quote := s[0]
	if quote != '"' && quote != '\'' {
		return 0
	}
	for i := 1; i < len(s); i++ {
		switch {
		case s[i] == '\\' && quote == '"':
			i++
		case s[i] == quote && quote == '\'' && strings.HasPrefix(s[i+1:], "'"):
			i++
		case s[i] == quote:
			return i + 1
		}
	}
	return 0
}

// closing is the byte after the bracket that closes the one at start.
func closing(line string, start int) int {
	depth := 0
	for i := start; i < len(line); i++ {
		switch c := line[i]; {
		case c == '{' || c == '[':
			depth++
		case c == '}' || c == ']':
			if depth--; depth == 0 {
				return i + 1
			}
		case (c == '"' || c == '\'') && strings.ContainsRune(" {[,:", rune(line[i-1])):
			end := quoteEnd(line[i:])
			if end == 0 {
				return -1
			}
			i += end - 1
		case c == '#' && line[i-1] == ' ':
			return -1
		}
	}
	return -1
}

// inline writes a value on one line.
func inline(value any) (string, error) {
	var n yaml.Node
	if err := n.Encode(value); err != nil {
		return "", err
	}
	flow(&n)
	text, err := yaml.Marshal(&n)
	if err != nil {
		return "", err
	}
	line := strings.TrimSpace(string(text))
	if !strings.Contains(line, "\n") {
		return line, nil
	}
	json, err := json.Marshal(value) // long or of several lines: JSON is YAML
	return string(json), err
}

func flow(n *yaml.Node) {
	if n.Kind != yaml.ScalarNode {
		n.Style |= yaml.FlowStyle
	} else if strings.Contains(n.Value, "\n") {
		n.Style = yaml.DoubleQuotedStyle
	}
	for _, c := range n.Content {
		flow(c)
	}
}

// block writes a value on lines of its own, indented.
func block(value any, indent int) ([]string, error) {
	var b bytes.Buffer
	enc := yaml.NewEncoder(&b)
	enc.SetIndent(2)
	if err := enc.Encode(value); err != nil {
		return nil, err
	}
	if err := enc.Close(); err != nil {
		return nil, err
	}
	var lines []string
	for line := range strings.Lines(b.String()) {
		lines = append(lines, strings.Repeat(" ", indent)+line)
	}
	return lines, nil
}

// InlineYAML writes a value as YAML on one line.
func InlineYAML(value any) (string, error) { return inline(value) }
