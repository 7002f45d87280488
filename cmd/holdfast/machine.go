package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode"

	"go.yaml.in/yaml/v3"
)

// steers tells whether a letter moves a terminal's cursor or turns its text around.
// Encoders leave some as they are, which is right for programs, and people look too.
func steers(r rune) bool {
	return r != '\n' && unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r)
}

// plainJSON writes such letters as \u202e, which says the same within the strings
// of JSON, and of YAML in double quotes. Nothing else of either can hold them.
type plainJSON struct{ io.Writer }

func (w plainJSON) Write(data []byte) (int, error) {
	if _, err := w.Writer.Write(plain(data)); err != nil {
		return 0, err
	}
	return len(data), nil
}

func plain(data []byte) []byte {
	if !bytes.ContainsFunc(data, steers) {
		return data
	}
	var b bytes.Buffer
	for _, r := range string(data) {
		if steers(r) {
			fmt.Fprintf(&b, `\u%04x`, r)
			continue
		}
		b.WriteRune(r)
	}
	return b.Bytes()
}

// writeYAML writes what was read from JSON as YAML looks.
func writeYAML(w io.Writer, node *yaml.Node) error {
	blockStyle(node)
	var b bytes.Buffer // an encoder may write a letter in two pieces
	out := yaml.NewEncoder(&b)
	out.SetIndent(2)
	if err := errors.Join(out.Encode(node), out.Close()); err != nil {
		return err
	}
	_, err := w.Write(plain(b.Bytes()))
	return err
}

func blockStyle(n *yaml.Node) {
	n.Style = 0
	if n.Kind == yaml.ScalarNode && strings.ContainsFunc(n.Value, steers) {
		n.Style = yaml.DoubleQuotedStyle
	}
	for _, c := range n.Content {
		blockStyle(c)
	}
}
