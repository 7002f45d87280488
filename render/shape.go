package render

import (
	"encoding/json"
	"slices"

	"github.com/holdfast-fleet/holdfast/fleet"
)

// Shapes are the objects of a layer before the values of a site are in them.
// Sites without an overlay share them.
type Shapes struct {
	Key  string // the same for what is built from the same files
	List []Shape

	built *built
}

// Shape is an object before the values of a site are in it.
type Shape struct {
	APIVersion, Kind, Namespace, Name string
	Slots                             []Slot // of a name that varies: none

	template *template
	built    *built
}

// Slot is a text that sites decide, or that names an image.
type Slot struct {
	At     []string // the field: keys, and numbers of items
	Text   string   // as it is written: ${HOST}:8080
	Varies bool     // has variables
	Image  bool
}

// Shapes returns those of a layer, or of the distribution, of a site. Its error
// joins [fleet.Problem]s.
func (r *Renderer) Shapes(site *fleet.Site, layer fleet.Layer) (*Shapes, error) {
	in, err := r.inputOf(site, layer)
	if err != nil {
		return nil, err
	}
	from, err := r.build(in)
	if err != nil {
		return nil, err
	}
	return &Shapes{Key: in.key, List: from.shapes(), built: from}, nil
}

func (b *built) shapes() []Shape {
	b.listed.Do(func() {
		for i := range b.templates {
			t := &b.templates[i]
			s := Shape{APIVersion: t.APIVersion, Kind: t.Kind, Namespace: t.Namespace, Name: t.Name, template: t, built: b}
			for _, slot := range t.Slots {
				s.Slots = append(s.Slots, Slot{At: slot.At, Text: slot.Value, Varies: slot.Variable, Image: slot.Image})
			}
			b.list = append(b.list, s)
		}
	})
	return b.list
}

// Varies tells whether sites with other variables make something else of it.
func (s Shape) Varies() bool { return s.template.varies() }

// Named tells whether sites with other variables give it another name.
func (s Shape) Named() bool { return s.template.Named }

// Values are the variables of a site.
type Values struct{ variables }

// ValuesOf returns those of a site.
func ValuesOf(site *fleet.Site) Values { return Values{newVariables(site)} }

// Value returns what a site has in a slot. Its error joins [fleet.Problem]s.
func (s Shape) Value(v Values, slot int) (any, error) {
	value, err := s.template.Slots[slot].fill(v.variables)
	if err != nil {
		err = v.problems(err, s.template.object(), s.built)
	}
	return value, err
}

// Object returns the JSON of the object at a site, and the name that it has
// there; images are as they are written. Its error joins [fleet.Problem]s.
func (s Shape) Object(v Values) (o Shape, raw json.RawMessage, err error) {
	t := *s.template
	if t.Named {
		if t, err = t.named(v.variables, s.built); err != nil {
			return s, nil, err
		}
	}
	o = Shape{APIVersion: t.APIVersion, Kind: t.Kind, Namespace: t.Namespace, Name: t.Name, template: &t, built: s.built}
	t.Slots = slices.Clone(t.Slots)
	for i := range t.Slots {
		o.Slots = append(o.Slots, Slot{At: t.Slots[i].At, Text: t.Slots[i].Value, Varies: t.Slots[i].Variable, Image: t.Slots[i].Image})
		t.Slots[i].Image = false
	}
	if raw, _, err = t.fill(v.variables, nil); err != nil {
		err = v.problems(err, t.object(), s.built)
	}
	return o, raw, err
}

// String names the object.
func (s Shape) String() string { return s.template.object().String() }

// Pinned returns the digest that an image has: its own, or that of the lock, or "".
func Pinned(ref string, lock fleet.Lock) string { return pin(ref, lock.Images) }
