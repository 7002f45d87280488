package fleet

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// MaxFileSize is how many bytes an object of the fleet may have.
const MaxFileSize = 1 << 20

// Limits bounds a YAML file.
type Limits struct {
	Depth int // of nesting
	Nodes int // after aliases are followed
}

// objectLimits bound the fleet's own objects.
func objectLimits() Limits { return Limits{Depth: 64, Nodes: 100_000} }

// ReadFile returns the content of a regular file of at most limit bytes.
func ReadFile(fsys fs.FS, name string, limit int64) ([]byte, error) {
	f, err := fsys.Open(name)
	if err != nil {
		if info, unknown := fs.Stat(fsys, name); unknown == nil && info.Size() > limit {
			return nil, tooLarge(name, limit)
		}
		return nil, err
	}
	defer f.Close()
	var size int64
	if info, unknown := f.Stat(); unknown == nil {
		size = min(info.Size(), limit)
	}
	data := bytes.NewBuffer(make([]byte, 0, size+bytes.MinRead))
	if _, err := data.ReadFrom(io.LimitReader(f, limit+1)); err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	if int64(data.Len()) > limit {
		return nil, tooLarge(name, limit)
	}
	if bytes.HasPrefix(data.Bytes(), []byte("version https://git-lfs.github.com/spec/")) {
		return nil, &Problem{File: name, Msg: "a pointer of Git LFS: hosts do not get the file that it stands for",
			Tip: "keep the file itself in Git: git lfs untrack, and add it anew", Rule: RuleIrregularFile}
	}
	return data.Bytes(), nil
}

func tooLarge(name string, limit int64) error {
	return &Problem{File: name, Msg: fmt.Sprintf("the file is larger than %d KiB", limit>>10),
		Tip: "keep big content out of the fleet, or split the file", Rule: RuleTooLarge}
}

// ParseYAML parses the documents of a YAML file, within the limits on depth
// and aliases. Its error is a [Problem] with the line where there is one.
func ParseYAML(file string, data []byte, limits Limits) ([]*yaml.Node, error) {
	dec := yaml.NewDecoder(bytes.NewReader(data))
	var docs []*yaml.Node
	for {
		var doc yaml.Node
		err := dec.Decode(&doc)
		if errors.Is(err, io.EOF) {
			return docs, nil
		}
		if err != nil {
			return nil, yamlProblem(file, err)
		}
		left := limits
		if err := left.measure(file, &doc); err != nil {
			return nil, err
		}
		docs = append(docs, &doc)
	}
}

// measure refuses trees that are too deep, or too large once aliases are followed.
func (l *Limits) measure(file string, n *yaml.Node) error {
	if l.Depth--; l.Depth < 0 {
		return tooDeep(file, n.Line)
	}
	if l.Nodes--; l.Nodes < 0 {
		return &Problem{File: file, Line: n.Line, Msg: "too many values once aliases are followed",
			Tip: "write the values out, or split the file", Rule: RuleTooLarge}
	}
	if n.Kind == yaml.AliasNode {
		if err := l.measure(file, n.Alias); err != nil {
			return err
		}
	}
	for _, c := range n.Content {
		if err := l.measure(file, c); err != nil {
			return err
		}
	}
	l.Depth++
	return nil
}

var lineOfYAMLError = regexp.MustCompile(`^line (\d+): `)

func tooDeep(file string, line int) error {
	return &Problem{File: file, Line: line, Msg: "nested too deep", Tip: "no object that a cluster takes is that deep", Rule: RuleTooLarge}
}

// yamlProblem says what the parser says, of which depth is a part that it knows no line of.
func yamlProblem(file string, err error) error {
	line, msg := 0, strings.TrimPrefix(err.Error(), "yaml: ")
	if strings.HasPrefix(msg, "exceeded max depth") {
		return tooDeep(file, 0)
	}
	if m := lineOfYAMLError.FindStringSubmatch(msg); m != nil {
		line, _ = strconv.Atoi(m[1])
		msg = msg[len(m[0]):]
	}
	return &Problem{File: file, Line: line, Msg: "not YAML: " + strings.Join(strings.Fields(msg), " "),
		Tip: "look at indentation, quotes and brackets there and on the line before", Rule: RuleYAMLSyntax}
}
