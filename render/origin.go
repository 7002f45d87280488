package render

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"path"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
	"sigs.k8s.io/kustomize/api/resource"
	"sigs.k8s.io/kustomize/api/types"

	"github.com/holdfast-fleet/holdfast/fleet"
)

// Origin is the place in the repository that an object comes from.
type Origin struct {
	File string // that it stands in, or the kustomization that generates it
	Line int    // that it begins at; 0 if that is not known

	written []document // it and the patches for it, the last applied first
}

// Origins are those of the objects of a layer.
type Origins struct {
	byID map[string]Origin
	file string
}

const originKey = "config.kubernetes.io/origin"

// Origins finds where the objects of a layer of a site come from. It builds the
// layer again, as it is for those who ask about a few objects. Its error joins
// [fleet.Problem]s.
func (r *Renderer) Origins(site *fleet.Site, layer fleet.Layer) (Origins, error) {
	in, err := r.inputOf(site, layer)
	if err != nil {
		return Origins{}, err
	}
	if in, err = in.scanned(); err != nil {
		return Origins{}, err
	}
	list, err := r.tracked(in)
	if err != nil {
		return Origins{}, err
	}
	vars, from := newVariables(site), &built{file: in.file, texts: func() map[string][]byte { return in.scan.texts }}
	docs := documents(in)
	found := Origins{byID: map[string]Origin{}, file: in.file}
	for _, t := range list {
		o := originOf(t, in, docs)
		if t.Named {
			if t, err = t.named(vars, from); err != nil {
				return Origins{}, err
			}
		}
		found.byID[t.object().id()] = o
	}
	return found, nil
}

// Of returns the origin of an object of the layer.
func (o Origins) Of(apiVersion, kind, namespace, name string) Origin {
	known, ok := o.byID[object{apiVersion: apiVersion, kind: kind, namespace: namespace, name: name}.id()]
	if !ok {
		return Origin{File: o.file}
	}
	return known
}

// Field returns where a field of the object is written, as far as it is: keys of
// mappings, and numbers of items. A patch that has it decides.
func (o Origin) Field(at ...string) (file string, line int) {
	for _, doc := range o.written {
		if n, depth := deepest(doc.node, at); depth == len(at) {
			return doc.file, n.Line
		}
	}
	for _, doc := range o.written {
		if doc.file == o.File {
			n, _ := deepest(doc.node, at)
			return o.File, n.Line
		}
	}
	return o.File, o.Line
}

// deepest follows a path as far as it goes, and returns the last key or item.
func deepest(n *yaml.Node, at []string) (found *yaml.Node, depth int) {
	n = followed(n)
	found = n
	for depth, step := range at {
		var value *yaml.Node
		switch n.Kind {
		case yaml.MappingNode:
			for i := 0; i < len(n.Content); i += 2 {
				if n.Content[i].Value == step {
					found, value = n.Content[i], followed(n.Content[i+1])
				}
			}
		case yaml.SequenceNode:
			if i, err := strconv.Atoi(step); err == nil && i >= 0 && i < len(n.Content) {
				found, value = n.Content[i], followed(n.Content[i])
			}
		}
		if value == nil {
			return found, depth
		}
		n = value
	}
	return found, len(at)
}

// scanned returns the input with what it reads.
func (in *input) scanned() (*input, error) {
	if in.scan != nil {
		return in, nil
	}
	return scanInput(in.dir, in.reach, in.files)
}

// tracked builds an input with kustomize's annotations of where objects come
// from. They are not in what hosts run, because a patch could meet them.
func (r *Renderer) tracked(in *input) ([]template, error) {
	name := "origins " + in.key
	if kept, ok := r.memo.Get(name); ok {
		var list []template
		if err := json.Unmarshal(kept, &list); err == nil && wellFormed(list) {
			return list, nil
		}
	}
	j, err := r.job(in)
	if err != nil {
		return nil, err
	}
	j.Origins = true
	list, err := j.run()
	if err != nil {
		return nil, err
	}
	if kept, err := json.Marshal(list); err == nil {
		r.memo.Put(name, kept)
	}
	return list, nil
}

// track makes kustomize note where objects come from.
func track(kustomization []byte) ([]byte, error) {
	var k map[string]any
	if err := yaml.Unmarshal(kustomization, &k); err != nil {
		return nil, err
	}
	for key := range k {
		if strings.EqualFold(key, "buildMetadata") {
			delete(k, key)
		}
	}
	k["buildMetadata"] = []string{types.OriginAnnotations}
	return yaml.Marshal(k)
}

// takeOrigin removes kustomize's note of where an object comes from.
func takeOrigin(o object) (resource.Origin, error) {
	var origin resource.Origin
	note, ok := annotation(o.value, originKey)
	if !ok {
		return origin, nil // a patch may have replaced it
	}
	meta := o.value["metadata"].(map[string]any)
	annotations := meta["annotations"].(map[string]any)
	if delete(annotations, originKey); len(annotations) == 0 {
		delete(meta, "annotations")
	}
	text, _ := note.(string)
	if err := yaml.Unmarshal([]byte(text), &origin); err != nil {
		return origin, fmt.Errorf("origin of %s: %w", o, err)
	}
	return origin, nil
}

// source is the file that kustomize names, or the template that it was rendered from.
func (j job) source(from resource.Origin) string {
	name := cmp.Or(from.Path, from.ConfiguredIn)
	if name == "" {
		return ""
	}
	name = path.Join(j.Dir, name)
	return cmp.Or(j.Rendered[name], name)
}

// originOf finds the file and the line of what kustomize names.
func originOf(t template, in *input, docs []document) Origin {
	o := Origin{File: in.file}
	if t.From == "" {
		return o
	}
	o.File = t.From
	for _, exact := range []bool{true, false} {
		for _, doc := range docs {
			if !doc.describes(t, exact) {
				continue
			}
			o.written = append(o.written, doc)
			if doc.file == o.File && o.Line == 0 {
				o.Line = doc.node.Line
			}
		}
		if o.Line > 0 {
			return o
		}
	}
	o.Line = kindLine(in.scan.texts[o.File], t.Kind)
	return o
}

// kindLine finds the kind of an object in the template of a chart, if one alone has it.
func kindLine(text []byte, kind string) (found int) {
	for i, line := range bytes.Split(text, []byte("\n")) {
		if key, value, ok := bytes.Cut(line, []byte(":")); ok && string(bytes.TrimLeft(key, " -")) == "kind" && string(bytes.TrimSpace(value)) == kind {
			if found > 0 {
				return 0
			}
			found = i + 1
		}
	}
	return found
}
