package render

import (
	"errors"
	"maps"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/holdfast-fleet/holdfast/fleet"
)

// document is an object, or a patch, as somebody wrote it.
type document struct {
	file string
	node *yaml.Node
}

// describes tells whether a document is an object or a patch of it. A name may
// have got a prefix or a suffix since, which is not exact.
func (d document) describes(t template, exact bool) bool {
	kind, name := valueOf(d.node, "kind"), valueOf(d.node, "name")
	if meta := valueOf(d.node, "metadata"); meta != nil {
		name = valueOf(meta, "name")
	}
	if kind == nil || name == nil || name.Value == "" {
		return false
	}
	if exact {
		return kind.Value == t.Kind && name.Value == t.Name
	}
	return kind.Value == t.Kind && strings.Contains(t.Name, name.Value)
}

// written finds the file and line in which that is written which is wrong with an
// object; kustomize carries it on.
func (j job) written(err error) error {
	p := new(fleet.Problem)
	if !errors.As(err, &p) {
		return err
	}
	for _, file := range slices.Sorted(maps.Keys(j.Files)) {
		docs, err := fleet.ParseYAML(file, j.Files[file], yamlLimits())
		if err != nil || j.Rendered[file] != "" {
			continue
		}
		for _, doc := range docs {
			_, err := parsed(doc)
			if at := new(flaw); errors.As(err, &at) && at.what == p.Msg {
				p.File, p.Line = file, at.line
				return p
			}
		}
	}
	return err
}

// writtenAs says of a problem where an object, or a patch of it, is written; of
// several, the last.
func writtenAs(p *fleet.Problem, files map[string][]byte, kind, name string) *fleet.Problem {
	for _, file := range slices.Sorted(maps.Keys(files)) {
		docs, err := fleet.ParseYAML(file, files[file], yamlLimits())
		if err != nil {
			continue
		}
		for _, doc := range docs {
			for _, d := range within(file, followed(doc.Content[0])) {
				if d.describes(template{Kind: kind, Name: name}, true) {
					p.File, p.Line = file, d.node.Line
				}
			}
		}
	}
	return p
}

// documents lists what is written in the files of an input, patches of a site
// before what they patch.
func documents(in *input) []document {
	var docs []document
	for file, text := range in.scan.texts {
		nodes, err := fleet.ParseYAML(file, text, yamlLimits())
		if err != nil {
			continue // a file for a ConfigMap
		}
		for _, n := range nodes {
			docs = append(docs, within(file, followed(n.Content[0]))...)
		}
	}
	slices.SortStableFunc(docs, func(a, b document) int {
		if c := depthIn(in.reach, a.file) - depthIn(in.reach, b.file); c != 0 {
			return c
		}
		if c := strings.Compare(a.file, b.file); c != 0 {
			return c
		}
		return a.node.Line - b.node.Line
	})
	return docs
}

func depthIn(r reach, file string) int {
	switch {
	case under(file, r.site):
		return 0
	case under(file, r.profile):
		return 1
	}
	return 2
}

// within lists the objects in a document: itself, the items of a list, what a
// kustomization generates and the patches in it.
func within(file string, n *yaml.Node) []document {
	docs := []document{{file, n}}
	if n.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i < len(n.Content); i += 2 {
		value := followed(n.Content[i+1])
		switch n.Content[i].Value {
		case "items":
			for _, item := range value.Content {
				docs = append(docs, within(file, followed(item))...)
			}
		case "configMapGenerator", "secretGenerator":
			kind := map[byte]string{'c': "ConfigMap", 's': "Secret"}[n.Content[i].Value[0]]
			for _, item := range value.Content {
				docs = append(docs, document{file, generated(kind, followed(item))})
			}
		case "patches", "patchesStrategicMerge":
			for _, item := range value.Content {
				docs = append(docs, inlinePatch(file, followed(item))...)
			}
		}
	}
	return docs
}

// generated is the object of a generator as far as it is written.
func generated(kind string, n *yaml.Node) *yaml.Node {
	object := &yaml.Node{Kind: yaml.MappingNode, Line: n.Line}
	object.Content = append(object.Content, &yaml.Node{Kind: yaml.ScalarNode, Value: "kind", Line: n.Line}, &yaml.Node{Kind: yaml.ScalarNode, Value: kind, Line: n.Line})
	object.Content = append(object.Content, n.Content...)
	return object
}

// inlinePatch is a strategic merge patch that is text in a kustomization.
func inlinePatch(file string, n *yaml.Node) []document {
	may := n.Kind == yaml.MappingNode // where else a line names a file
	if may {
		if n = valueOf(n, "patch"); n == nil {
			return nil
		}
	}
	down := n.Line
	if !strings.Contains(n.Value, "\n") {
		down--
	}
	if n.Kind != yaml.ScalarNode || down < n.Line && !may {
		return nil
	}
	nodes, err := fleet.ParseYAML(file, []byte(n.Value), yamlLimits())
	if err != nil {
		return nil
	}
	var docs []document
	for _, doc := range nodes {
		moveDown(doc, down)
		docs = append(docs, document{file, followed(doc.Content[0])})
	}
	return docs
}

func moveDown(n *yaml.Node, lines int) {
	n.Line += lines
	for _, c := range n.Content {
		moveDown(c, lines)
	}
}
