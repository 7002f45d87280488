package fleet

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// errByHand reports a file that is written in a way that cannot be edited by line.
var errByHand = errors.New("it is written in a way that only a person can edit")

// editor edits the one document of a YAML file by its lines.
type editor struct {
	lines []string // with their ends
	root  *yaml.Node
}

// SetYAML sets the value at a path of keys in a YAML file of one document, and
// leaves all else as it is written: comments, order, indentation. Mappings that
// are missing on the way are added.
func SetYAML(file string, data []byte, value any, path ...string) ([]byte, error) {
	return edited(file, data, func(e *editor) (any, error) {
		return setIn(e.plain(), value, path), e.set(e.root, value, path)
	})
}

// AppendYAML adds an item to the list at a path of keys, as [SetYAML] sets a value.
func AppendYAML(file string, data []byte, item any, path ...string) ([]byte, error) {
	return edited(file, data, func(e *editor) (any, error) {
		list, err := e.find(path)
		if err != nil {
			return nil, err
		}
		var old []any
		if err := list.Decode(&old); err != nil {
			return nil, err
		}
		return setIn(e.plain(), append(old, item), path), e.add(list, item)
	})
}

// edited edits a file, and makes sure that nothing has changed but what is meant.
func edited(file string, data []byte, edit func(*editor) (want any, err error)) ([]byte, error) {
	docs, err := ParseYAML(file, data, objectLimits())
	if err != nil {
		return nil, err
	}
	if len(docs) != 1 || docs[0].Content[0].Kind != yaml.MappingNode {
		return nil, &Problem{File: file, Msg: "is no YAML file of one object"}
	}
	text := string(data)
	foreign := strings.Contains(text, "\n") && strings.Count(text, "\n") == strings.Count(text, "\r\n") // ends of lines, as on Windows
	if foreign {
		text = strings.ReplaceAll(text, "\r\n", "\n")
	}
	if !strings.HasSuffix(text, "\n") {
		text += "\n"
	}
	e := &editor{slices.Collect(strings.Lines(text)), docs[0].Content[0]}
	want, err := edit(e)
	if err != nil {
		return nil, &Problem{File: file, Msg: err.Error(), Tip: "edit it by hand"}
	}
	out := []byte(strings.Join(e.lines, ""))
	var got, wanted any
	clean, err := yaml.Marshal(want)
	if err == nil {
		err = errors.Join(yaml.Unmarshal(out, &got), yaml.Unmarshal(clean, &wanted))
	}
	if err != nil || !reflect.DeepEqual(got, wanted) {
		return nil, &Problem{File: file, Msg: errByHand.Error(), Tip: "edit it by hand"}
	}
	if foreign {
		out = bytes.ReplaceAll(out, []byte("\n"), []byte("\r\n"))
	}
	return out, nil
}

// plain is the document as plain values.
func (e *editor) plain() any {
	var v any
	_ = e.root.Decode(&v) // it was parsed
	return v
}

func setIn(v, value any, path []string) any {
	if len(path) == 0 {
		return value
	}
	m, ok := v.(map[string]any)
	if !ok {
		m = map[string]any{}
	}
	m[path[0]] = setIn(m[path[0]], value, path[1:])
	return m
}

func entry(m *yaml.Node, key string) (k, v *yaml.Node) {
	for i := 0; i < len(m.Content); i += 2 {
		if m.Content[i].Value == key {
			return m.Content[i], m.Content[i+1]
		}
	}
	return nil, nil
}

func (e *editor) find(path []string) (*yaml.Node, error) {
	n := e.root
	for _, key := range path {
		if _, n = entry(n, key); n == nil || n.Kind == yaml.AliasNode {
			return nil, fmt.Errorf("it has no %s", strings.Join(path, "."))
		}
	}
	return n, nil
}

// set sets a value in a mapping, at a path below it.
func (e *editor) set(m *yaml.Node, value any, path []string) error {
	if m.Kind != yaml.MappingNode || m.Anchor != "" {
		return errByHand
	}
	key, old := entry(m, path[0])
	switch {
	case key == nil:
		for _, name := range slices.Backward(path[1:]) {
			value = map[string]any{name: value}
		}
		return e.insert(m, path[0], value)
	case len(path) > 1 && old.Kind == yaml.MappingNode && len(old.Content) > 0:
		return e.set(old, value, path[1:])
	}
	for _, name := range slices.Backward(path[1:]) {
		value = map[string]any{name: value}
	}
	return e.replace(m, key, old, value)
}

// replace puts a value in the place of another one.
func (e *editor) replace(m, key, old *yaml.Node, value any) error {
	if old.Kind == yaml.AliasNode || old.Anchor != "" {
		return errByHand
	}
	flow := m.Style&yaml.FlowStyle != 0
	start, end := e.at(old.Line, old.Column), 0
	isNull := old.Kind == yaml.ScalarNode && old.Value == "" && old.Style == 0
	line := old.Line - 1
	switch {
	case isNull: // key: with nothing after it
		if flow {
			return errByHand
		}
		line = key.Line - 1
		start = e.at(key.Line, key.Column) + len(key.Value)
		if key.Style != 0 || !strings.HasPrefix(e.lines[line][start:], ":") {
			return errByHand
		}
		start++
		end = start
	case old.Kind == yaml.ScalarNode && old.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0,
		old.Kind != yaml.ScalarNode && old.Style&yaml.FlowStyle == 0:
		return e.replaceBlock(m, key, value)
	default:
		if end = tokenEnd(e.lines[line], start, old); end < 0 {
			return errByHand
		}
	}
	text, err := inline(value)
	if err != nil {
		return err
	}
	if isNull {
		text = " " + text
	}
	e.lines[line] = e.lines[line][:start] + text + e.lines[line][end:]
	return nil
}

// replaceBlock puts a value in the place of one that takes lines of its own.
func (e *editor) replaceBlock(m, key *yaml.Node, value any) error {
	text, err := inline(value)
	if err != nil {
		return err
	}
	line, start := key.Line-1, e.at(key.Line, key.Column)
	colon := start + len(key.Value)
	if key.Style != 0 || !strings.HasPrefix(e.lines[line][colon:], ":") {
		return errByHand
	}
	last := e.lastLine(m, key)
	e.lines[line] = e.lines[line][:colon] + ": " + text + "\n"
	e.lines = slices.Delete(e.lines, line+1, last+1)
	return nil
}

// insert adds an entry at the end of a mapping.
func (e *editor) insert(m *yaml.Node, key string, value any) error {
	if m.Style&yaml.FlowStyle != 0 {
		text, err := inline(map[string]any{key: value})
		if err != nil {
			return err
		}
		return e.insertFlow(m, strings.TrimSuffix(strings.TrimPrefix(text, "{"), "}"))
	}
	if len(m.Content) == 0 {
		return errByHand
	}
	text, err := block(map[string]any{key: value}, m.Content[0].Column-1)
	if err != nil {
		return err
	}
	last := e.lastLine(m, m.Content[len(m.Content)-2])
	e.lines = slices.Insert(e.lines, last+1, text...)
	return nil
}

// add adds an item at the end of a list.
func (e *editor) add(list *yaml.Node, item any) error {
	if list.Kind != yaml.SequenceNode || list.Anchor != "" {
		return errByHand
	}
	if list.Style&yaml.FlowStyle != 0 {
		text, err := inline(item)
		if err != nil {
			return err
		}
		return e.insertFlow(list, text)
	}
	if len(list.Content) == 0 {
		return errByHand
	}
	dash := strings.Index(e.lines[list.Content[0].Line-1], "-")
	if dash != list.Column-1 {
		return errByHand
	}
	text, err := block([]any{item}, dash)
	if err != nil {
		return err
	}
	e.lines = slices.Insert(e.lines, e.endOfBlock(list.Line-1, dash, true)+1, text...)
	return nil
}

// insertFlow adds text at the end of a mapping or a list in braces, on one line.
func (e *editor) insertFlow(n *yaml.Node, text string) error {
	line, start := n.Line-1, e.at(n.Line, n.Column)
	end := tokenEnd(e.lines[line], start, n)
	if end < 0 {
		return errByHand
	}
	inside := strings.TrimRight(e.lines[line][start:end-1], " ")
	if len(n.Content) > 0 {
		text = ", " + text
	}
	e.lines[line] = e.lines[line][:start] + inside + text + e.lines[line][end-1:]
	return nil
}

// at is the byte of a line where a column begins.
func (e *editor) at(line, column int) int {
	at := 0
	for range column - 1 {
		_, size := utf8.DecodeRuneInString(e.lines[line-1][at:])
		at += size
	}
	return at
}

// lastLine is the last line of an entry of a block mapping, without the comments
// and blank lines after it.
func (e *editor) lastLine(m, key *yaml.Node) int {
	return e.endOfBlock(key.Line-1, m.Content[0].Column-1, false)
}

// endOfBlock is the last line of what begins at a line and is indented deeper than
// indent, or, in a list, has its dashes there.
func (e *editor) endOfBlock(line, indent int, dashes bool) int {
	last := line
	for i := line + 1; i < len(e.lines); i++ {
		text := strings.TrimSpace(e.lines[i])
		at := len(e.lines[i]) - len(strings.TrimLeft(e.lines[i], " "))
		inList := at == indent && strings.HasPrefix(text, "- ")
		switch {
		case text == "" || strings.HasPrefix(text, "#"):
			continue
		case at > indent, inList && dashes, inList && !dashes:
			last = i
		default:
			return last
		}
	}
	return last
}
