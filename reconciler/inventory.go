package reconciler

import (
	"cmp"
	"maps"
	"slices"
)

// String names the object as people do: Deployment shop/web.
func (o Object) String() string {
	if o.Namespace == "" {
		return o.Kind + " " + o.Name
	}
	return o.Kind + " " + o.Namespace + "/" + o.Name
}

// id is what makes an object the same one: its version may change.
func (o Object) id() Object {
	o.Version = ""
	return o
}

// union holds the objects of both; where both speak of one thing, i counts.
func (i Inventory) union(other Inventory) Inventory {
	out := i
	out.Layers = maps.Clone(i.Layers)
	out.Kept = slices.Clone(i.Kept)
	for _, name := range other.Kept {
		if _, known := i.Layers[name]; !known && !slices.Contains(out.Kept, name) {
			out.Kept = append(out.Kept, name)
		}
	}
	for name, objects := range other.Layers {
		if ours := i.Layers[name]; !slices.Equal(ours, objects) {
			out.Layers[name] = unionOf(ours, objects)
		}
	}
	return out
}

// unionOf holds a, and after it what b has besides.
func unionOf(a, b []Object) []Object {
	out := slices.Clip(a)
	known := make(map[Object]bool, len(a))
	for _, o := range a {
		known[o.id()] = true
	}
	for _, o := range b {
		if !known[o.id()] {
			known[o.id()] = true
			out = append(out, o)
		}
	}
	return out
}

// equal compares what is listed and where, whatever the order.
func (i Inventory) equal(other Inventory) bool {
	return i.Site == other.Site && i.Revision == other.Revision && i.within(other) && other.within(i)
}

// same is equal, and of the same revision of the site.
func (i Inventory) same(other Inventory) bool {
	return i.Newest == other.Newest && i.Writer == other.Writer && i.equal(other)
}

func (i Inventory) within(other Inventory) bool {
	for name, objects := range i.Layers {
		if slices.Equal(objects, other.Layers[name]) {
			continue
		}
		known := map[Object]bool{}
		for _, o := range other.Layers[name] {
			known[o] = true
		}
		for _, o := range objects {
			if !known[o] {
				return false
			}
		}
	}
	return true
}

// without returns what i lists in layers that are pruned, and other does not in any.
func (i Inventory) without(other Inventory) []leftover {
	keep := map[Object]bool{}
	for _, objects := range other.Layers {
		for _, o := range objects {
			keep[o.id()] = true
		}
	}
	var out []leftover
	for _, name := range slices.Sorted(maps.Keys(i.Layers)) {
		if slices.Contains(i.Kept, name) {
			continue
		}
		for _, o := range i.Layers[name] {
			if !keep[o.id()] {
				keep[o.id()] = true
				out = append(out, leftover{o, name})
			}
		}
	}
	return out
}

// objects counts all that is listed.
func (i Inventory) objects() int {
	n := 0
	for _, list := range i.Layers {
		n += len(list)
	}
	return n
}

func (i Inventory) layerOf(o Object) string {
	for _, name := range slices.Sorted(maps.Keys(i.Layers)) {
		if contains(i.Layers[name], o) {
			return name
		}
	}
	return ""
}

func compareObjects(a, b Object) int {
	return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Group, b.Group))
}

func contains(objects []Object, o Object) bool {
	return slices.ContainsFunc(objects, func(p Object) bool { return p.id() == o.id() })
}

// only keeps the listed objects.
func (i Inventory) only(objects []Object) Inventory {
	keep := map[Object]bool{}
	for _, o := range objects {
		keep[o.id()] = true
	}
	out := Inventory{Layers: map[string][]Object{}}
	for name, all := range i.Layers {
		for _, o := range all {
			if keep[o.id()] {
				out.Layers[name] = append(out.Layers[name], o)
			}
		}
	}
	return out
}
