package render

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	kyaml "sigs.k8s.io/kustomize/kyaml/yaml"

	"sigs.k8s.io/kustomize/kyaml/openapi"
)

// template is an object as kustomize built it: its canonical JSON, and where in
// that the scalars are that a site decides. Filling one in costs a copy.
type template struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Namespace  string `json:"namespace,omitempty"`
	Name       string `json:"name"`
	// Named is set if variables decide how the object is called: it is then put
	// together anew for each site.
	Named bool            `json:"named,omitempty"`
	Text  json.RawMessage `json:"text"`
	Slots []slot          `json:"slots,omitempty"` // in order, not overlapping
	From  string          `json:"from,omitempty"`  // file, if that was asked for
}

// slot is a string of a template that is replaced.
type slot struct {
	From     int    `json:"from"` // in Text
	To       int    `json:"to"`
	Value    string `json:"value"`
	Variable bool   `json:"variable,omitempty"` // has variables in it
	String   bool   `json:"string,omitempty"`   // stays a string, whatever type its variable has
	Image    bool   `json:"image,omitempty"`    // names an image, which is pinned

	At []string `json:"at"` // the field: keys, and numbers of items
}

// image is a reference that an object's pods use, and its digest, or "".
type image struct {
	Ref    string `json:"ref"`
	Digest string `json:"digest"`
}

func (t *template) object() object {
	return object{apiVersion: t.APIVersion, kind: t.Kind, namespace: t.Namespace, name: t.Name}
}

func (t *template) called() called {
	o := t.object()
	return called{id: o.id(), name: o.String(), kind: o.kind, apiVersion: o.apiVersion}
}

// newTemplate takes an object apart; variables are looked for if substitute is set.
func newTemplate(o object, substitute bool) (template, error) {
	t := template{APIVersion: o.apiVersion, Kind: o.kind, Namespace: o.namespace, Name: o.name}
	optOut, given := annotation(o.value, optOut)
	if substitute && (given && optOut != "disabled" || !given && strings.Contains(o.apiVersion+o.kind+o.namespace+o.name, "${")) {
		t.Named = true
		var err error
		t.Text, err = canonical(o.value)
		return t, err
	}
	w := &writer{kind: kyaml.TypeMeta{APIVersion: o.apiVersion, Kind: o.kind}, substitute: substitute && !given,
		images: o.kind != "CustomResourceDefinition"}
	w.write(o.value, plain)
	t.Text, t.Slots = w.out, w.slots
	return t, w.err
}

func annotation(value map[string]any, key string) (any, bool) {
	meta, _ := value["metadata"].(map[string]any)
	annotations, _ := meta["annotations"].(map[string]any)
	got, ok := annotations[key]
	return got, ok
}

// spot says what a value is to a pod's specification, which custom resources have too.
type spot int

const (
	plain spot = iota
	containers
	container
	volumes
	volume
	volumeImage
)

// writer writes canonical JSON and notes the slots in it.
type writer struct {
	kind       kyaml.TypeMeta
	substitute bool
	images     bool

	out   []byte
	at    []string // the field, as kustomize's schema has it
	path  []string // the field, with the numbers of items
	slots []slot
	err   error
}

func (w *writer) write(v any, s spot) {
	switch v := v.(type) {
	case map[string]any:
		w.object(v, s)
	case []any:
		item := map[spot]spot{containers: container, volumes: volume}[s]
		w.out = append(w.out, '[')
		for i, v := range v {
			if i > 0 {
				w.out = append(w.out, ',')
			}
			w.path = append(w.path, strconv.Itoa(i))
			w.under(openapi.Elements, v, item)
			w.path = w.path[:len(w.path)-1]
		}
		w.out = append(w.out, ']')
	case string:
		w.text(v, false)
	default:
		w.scalar(v)
	}
}

func (w *writer) object(m map[string]any, s spot) {
	w.out = append(w.out, '{')
	for i, key := range slices.Sorted(maps.Keys(m)) {
		if i > 0 {
			w.out = append(w.out, ',')
		}
		w.scalar(key)
		w.out = append(w.out, ':')
		w.path = append(w.path, key)
		text, isText := m[key].(string)
		if isText && (s == container && key == "image" || s == volumeImage && key == "reference") {
			w.at = append(w.at, key)
			w.text(text, w.images)
			w.at = w.at[:len(w.at)-1]
		} else {
			w.under(key, m[key], spotOf(s, key, m[key]))
		}
		w.path = w.path[:len(w.path)-1]
	}
	w.out = append(w.out, '}')
}

func spotOf(s spot, key string, v any) spot {
	switch v.(type) {
	case []any:
		switch key {
		case "containers", "initContainers", "ephemeralContainers":
			return containers
		case "volumes":
			return volumes
		}
	case map[string]any:
		if s == volume && key == "image" {
			return volumeImage
		}
	}
	return plain
}

func (w *writer) under(key string, v any, s spot) {
	w.at = append(w.at, key)
	w.write(v, s)
	w.at = w.at[:len(w.at)-1]
}

func (w *writer) text(v string, isImage bool) {
	from := len(w.out)
	w.scalar(v)
	hasVariable := w.substitute && strings.Contains(v, "${")
	if hasVariable || isImage && v != "" {
		w.slots = append(w.slots, slot{From: from, To: len(w.out), Value: v, Variable: hasVariable, Image: isImage,
			String: hasVariable && wantsText(w.kind, w.at), At: slices.Clone(w.path)})
	}
}

func (w *writer) scalar(v any) {
	var err error
	if w.out, err = appendJSON(w.out, v); err != nil {
		w.err = errors.Join(w.err, err)
	}
}

// wantsText reports whether Kubernetes knows the field as a string: an
// environment variable or a label takes the text of a number.
func wantsText(kind kyaml.TypeMeta, at []string) bool {
	if at[0] == "metadata" {
		return true
	}
	defer kustomize.read()()
	schema := openapi.SchemaForResourceType(kind)
	if schema == nil {
		return false
	}
	if schema = schema.Lookup(at...); schema == nil || schema.Schema == nil {
		return false
	}
	return slices.Equal(schema.Schema.Type, []string{"string"}) && schema.Schema.Format != "int-or-string"
}

// varies tells whether sites with other variables make something else of it.
func (t *template) varies() bool {
	return t.Named || slices.ContainsFunc(t.Slots, func(s slot) bool { return s.Variable })
}

// fill puts a site's variables and the digests of images in.
func (t *template) fill(v variables, locked map[string]string) (json.RawMessage, []image, error) {
	if len(t.Slots) == 0 {
		return t.Text, nil, nil
	}
	out, at := make([]byte, 0, len(t.Text)+64*len(t.Slots)), 0
	var images []image
	var errs []error
	for _, s := range t.Slots {
		got, err := s.fill(v)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if ref, ok := got.(string); ok && s.Image && ref != "" {
			pinned := pin(ref, locked)
			images = append(images, image{ref, pinned})
			if pinned != "" && !strings.Contains(ref, "@") {
				got = ref + "@" + pinned
			}
		}
		out, at = append(out, t.Text[at:s.From]...), s.To
		out, err = appendJSON(out, got)
		errs = append(errs, err)
	}
	return append(out, t.Text[at:]...), images, errors.Join(errs...)
}

// appendJSON appends the JSON of a value. Most are texts in which nothing is escaped.
func appendJSON(out []byte, v any) ([]byte, error) {
	if text, ok := v.(string); ok && !strings.ContainsFunc(text, escaped) {
		return append(append(append(out, '"'), text...), '"'), nil
	}
	data, err := json.Marshal(v)
	return append(out, data...), err
}

// escaped tells whether encoding/json escapes a character, or may do so.
func escaped(c rune) bool {
	return c < ' ' || c > '~' || c == '"' || c == '\\' || c == '<' || c == '>' || c == '&'
}

func (s slot) fill(v variables) (any, error) {
	if !s.Variable {
		return s.Value, nil
	}
	got, err := v.text(s.Value)
	if _, isText := got.(string); err == nil && !isText && s.String {
		got = fmt.Sprint(got)
	}
	return got, err
}

// pin returns the digest of an image: its own, or what the lock knows, or "".
func pin(ref string, locked map[string]string) string {
	if _, digest, ok := strings.Cut(ref, "@"); ok {
		return digest
	}
	return locked[ref]
}

// named replaces the variables of a template that they give its name.
func (t *template) named(v variables, from *built) (template, error) {
	value, err := decode(t.Text)
	if err != nil {
		return template{}, err
	}
	o := t.object()
	o.value, _ = value.(map[string]any)
	if o, err = v.object(o, from); err != nil {
		return template{}, err
	}
	return newTemplate(o, false)
}
