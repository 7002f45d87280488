package review

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"github.com/holdfast-fleet/holdfast/fleet"
	"github.com/holdfast-fleet/holdfast/render"
)

// id is what an object is to the API server, whatever its version.
type id struct{ group, kind, namespace, name string }

func (i id) groupKind() string { return i.group + "/" + i.kind }

func (i id) String() string {
	if i.namespace == "" {
		return i.kind + " " + i.name
	}
	return i.kind + " " + i.namespace + "/" + i.name
}

// placed is an object in a layer.
type placed struct {
	layer *render.Layer
	raw   json.RawMessage
}

// remaining returns the objects of layers that are not the same in the other layers.
func remaining(layers, others []render.Layer) (map[id]placed, error) {
	out := map[id]placed{}
	for i := range layers {
		same := map[string]bool{}
		for _, other := range others {
			if other.Name != layers[i].Name {
				continue
			}
			for _, raw := range other.Objects {
				same[string(raw)] = true
			}
		}
		for _, raw := range layers[i].Objects {
			if same[string(raw)] {
				continue
			}
			key, err := identify(raw)
			if err != nil {
				return nil, err
			}
			out[key] = placed{&layers[i], raw}
		}
	}
	return out, nil
}

func identify(raw json.RawMessage) (id, error) {
	var o struct {
		APIVersion, Kind string
		Metadata         struct{ Namespace, Name string }
	}
	if err := json.Unmarshal(raw, &o); err != nil {
		return id{}, err
	}
	return id{groupOf(o.APIVersion), o.Kind, o.Metadata.Namespace, o.Metadata.Name}, nil
}

func groupOf(apiVersion string) string {
	group, _, found := strings.Cut(apiVersion, "/")
	if !found {
		return ""
	}
	return group
}

// compareLayers lists what differs between the objects of layers, and what of it
// takes a commit's word.
func compareLayers(old, current []render.Layer, may allowed) ([]Change, error) {
	before, err := remaining(old, current)
	if err != nil {
		return nil, err
	}
	after, err := remaining(current, old)
	if err != nil {
		return nil, err
	}
	changes := append(settings(old, current), wholeLayers(old, current, before, after, may)...)
	for key, a := range before {
		if _, stays := after[key]; !stays {
			changes = append(changes, deletion(key, a.layer, may))
		}
	}
	for key, b := range after {
		a, was := before[key]
		if !was {
			changes = append(changes, Change{Kind: Create, Object: key.String(), Layer: b.layer.Name})
			continue
		}
		change, err := modification(key, a, b, may)
		if err != nil {
			return nil, err
		}
		changes = append(changes, change)
	}
	return append(changes, resealed(old, current, changes)...), nil
}

// resealed lists layers of which nothing changes but who can open their secrets.
func resealed(old, current []render.Layer, known []Change) []Change {
	var changes []Change
	for _, a := range old {
		for _, b := range current {
			seen := slices.ContainsFunc(known, func(c Change) bool { return c.Layer == a.Name })
			if a.Name == b.Name && !seen && !maps.EqualFunc(a.Sealed, b.Sealed, bytes.Equal) {
				changes = append(changes, Change{Kind: Modify, Object: "secrets of layer " + a.Name, Layer: a.Name, Note: "encrypted anew, or to others: what is in them stays"})
			}
		}
	}
	return changes
}

// dangerous are kinds whose deletion takes more than the object. The hosts hold
// the first four (see reconciler), until a commit says that they may go.
var dangerous = map[string]string{
	"/Namespace": "all that is in a namespace goes with it",
	"apiextensions.k8s.io/CustomResourceDefinition": "all objects of its kind go with it",
	"/PersistentVolumeClaim":                        "its data may go with it",
	"/PersistentVolume":                             "its data may go with it",
	"apps/StatefulSet":                              "its pods go at once; claims that it made stay",
}

func deletion(key id, layer *render.Layer, may allowed) Change {
	c := Change{Kind: Delete, Object: key.String(), Layer: layer.Name, Danger: dangerous[key.groupKind()]}
	switch {
	case !layer.Prune:
		c.Note = "it stays in the cluster: its layer has prune: false"
	case c.Danger != "" && key.kind != "StatefulSet":
		c.Note = may.prune(key.permit())
	}
	return c
}

func modification(key id, a, b placed, may allowed) (Change, error) {
	old, err := decode(a.raw)
	if err != nil {
		return Change{}, err
	}
	current, err := decode(b.raw)
	if err != nil {
		return Change{}, err
	}
	c := Change{Kind: Modify, Object: key.String(), Layer: b.layer.Name, Fields: compareObjects(old, current)}
	if a.layer.Name != b.layer.Name {
		c.Kind, c.From = Move, a.layer.Name
	}
	if markImmutable(key.groupKind(), old, c.Fields) {
		c.Kind = Recreate
		c.Danger = "the API server does not change this on a live object"
		c.Note = may.recreate(key.permit())
	}
	return c, nil
}

// settings lists what differs between layers besides their objects.
func settings(old, current []render.Layer) []Change {
	var changes []Change
	for _, a := range old {
		i := slices.IndexFunc(current, func(b render.Layer) bool { return b.Name == a.Name })
		if i < 0 {
			continue
		}
		if fields := compareObjects(around(a), around(current[i])); len(fields) > 0 {
			changes = append(changes, Change{Kind: Modify, Object: "layer " + a.Name, Layer: a.Name, Fields: fields})
		}
	}
	return changes
}

// wholeLayers lists layers that only one side has.
func wholeLayers(old, current []render.Layer, before, after map[id]placed, may allowed) []Change {
	var changes []Change
	for i := range old {
		if slices.ContainsFunc(current, func(l render.Layer) bool { return l.Name == old[i].Name }) {
			continue
		}
		c := Change{Kind: Delete, Object: "layer " + old[i].Name, Layer: old[i].Name}
		gone := 0
		for key, a := range before {
			if _, stays := after[key]; !stays && a.layer == &old[i] {
				gone++
			}
		}
		switch {
		case gone == 0:
			c.Note = "its objects move to other layers"
		case !old[i].Prune:
			c.Note = "what is in it stays in the cluster: it has prune: false"
		default:
			c.Danger = "all of the layer goes: " + count(gone, "object")
			c.Note = may.prune(fleet.Permit{Layer: old[i].Name})
		}
		changes = append(changes, c)
	}
	for _, l := range current {
		if !slices.ContainsFunc(old, func(o render.Layer) bool { return o.Name == l.Name }) {
			changes = append(changes, Change{Kind: Create, Object: "layer " + l.Name, Layer: l.Name, Note: count(len(l.Objects), "object")})
		}
	}
	return changes
}

// around is a layer without its objects.
func around(l render.Layer) map[string]any {
	m := map[string]any{"wait": l.Wait, "prune": l.Prune, "timeout": l.Timeout.String(), "retry": l.Retry, "rollback": string(l.Rollback), "dependsOn": l.DependsOn}
	maps.DeleteFunc(m, func(_ string, v any) bool {
		list, ok := v.([]string)
		return v == "" || ok && len(list) == 0
	})
	return m
}

// decode keeps numbers as they are written.
func decode(raw json.RawMessage) (map[string]any, error) {
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	var v map[string]any
	return v, dec.Decode(&v)
}
