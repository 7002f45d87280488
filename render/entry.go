package render

import (
	"path"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// entry is a field of a kustomization, or an item of one that is a list.
type entry struct {
	file  string
	root  *yaml.Node
	field string
	key   int // index of the field's key in root
	item  int // of the field's list, or -1
}

// entriesOf lists what a kustomization says.
func entriesOf(file string, text []byte) ([]entry, error) {
	var doc yaml.Node
	if err := yaml.Unmarshal(text, &doc); err != nil {
		return nil, err
	}
	if len(doc.Content) == 0 || doc.Content[0].Kind != yaml.MappingNode {
		return nil, nil
	}
	root := doc.Content[0]
	var list []entry
	for i := 0; i < len(root.Content); i += 2 {
		e := entry{file, root, root.Content[i].Value, i, -1}
		switch {
		case slices.Contains([]string{"apiVersion", "kind", "metadata"}, e.field):
			continue
		case root.Content[i+1].Kind != yaml.SequenceNode:
			list = append(list, e)
			continue
		}
		for n := range root.Content[i+1].Content {
			e.item = n
			list = append(list, e)
		}
	}
	return list, nil
}

func (e entry) node() *yaml.Node {
	n := e.root.Content[e.key+1]
	if e.item >= 0 {
		n = n.Content[e.item]
	}
	return n
}

// leads tells that the entry brings objects in; so it is told by where they come from.
func (e entry) leads() bool { return e.field == "resources" || e.field == "bases" }

// without is the kustomization without the entry.
func (e entry) without() ([]byte, error) {
	root := *e.root
	root.Content = slices.Clone(root.Content)
	if e.item < 0 {
		root.Content = slices.Delete(root.Content, e.key, e.key+2)
	} else {
		value := *root.Content[e.key+1]
		value.Content = slices.Delete(slices.Clone(value.Content), e.item, e.item+1)
		root.Content[e.key+1] = &value
	}
	return yaml.Marshal(&root)
}

// makes tells whether the entry is a generator of the object, or a patch for it.
func (e entry) makes(t template) bool {
	n := followed(e.node())
	switch {
	case strings.HasSuffix(e.field, "MapGenerator"):
		return document{e.file, generated("ConfigMap", n)}.describes(t, false)
	case e.field == "secretGenerator":
		return document{e.file, generated("Secret", n)}.describes(t, false)
	}
	return true
}

// step describes the entry.
func (e entry) step() Step {
	n := followed(e.node())
	s := Step{File: e.file, Line: n.Line, Field: e.field}
	if e.item < 0 {
		s.Line = e.root.Content[e.key].Line
	}
	refs := e.paths(n)
	for _, ref := range refs {
		s.Files = append(s.Files, path.Join(path.Dir(e.file), ref))
	}
	switch {
	case n.Kind == yaml.ScalarNode && !strings.Contains(n.Value, "\n"):
		s.Value = n.Value
	case n.Kind == yaml.MappingNode:
		for _, known := range []string{"path", "name", "target"} {
			if v := valueOf(n, known); v != nil {
				s.Value = describeNode(v)
				break
			}
		}
	}
	return s
}

// describeNode is a scalar, or what a target selects.
func describeNode(n *yaml.Node) string {
	if n.Kind == yaml.ScalarNode {
		return n.Value
	}
	var parts []string
	for _, key := range []string{"group", "version", "kind", "namespace", "name", "labelSelector", "annotationSelector"} {
		if v := valueOf(n, key); v != nil && v.Kind == yaml.ScalarNode {
			parts = append(parts, v.Value)
		}
	}
	return strings.Join(parts, " ")
}

// paths lists the files and folders that an entry names.
func (e entry) paths(n *yaml.Node) []string {
	var refs []string
	add := func(n *yaml.Node, pair bool) {
		ref := followed(n).Value
		if _, after, ok := strings.Cut(ref, "="); pair && ok {
			ref = after
		}
		if ref != "" && !strings.Contains(ref, "\n") {
			refs = append(refs, ref)
		}
	}
	switch {
	case n.Kind == yaml.ScalarNode && slices.Contains([]string{"resources", "bases", "components", "crds", "configurations", "generators", "transformers", "validators", "patchesStrategicMerge"}, e.field):
		add(n, false)
	case n.Kind == yaml.MappingNode:
		for _, key := range []string{"path", "files", "envs", "env", "valuesFile", "additionalValuesFiles"} {
			v := valueOf(n, key)
			if v == nil {
				continue
			}
			if v.Kind == yaml.ScalarNode {
				add(v, key != "path")
			}
			for _, item := range v.Content {
				add(item, true)
			}
		}
	}
	return refs
}
