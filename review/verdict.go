package review

import (
	"cmp"
	"encoding/json"
	"slices"
	"strings"

	"github.com/holdfast-fleet/holdfast/render"
)

// verdict compares what a server made of base and head of one rendering.
type verdict struct {
	layers [2][]render.Layer // at base and at head
	found  findings
	sites  []string
	origin func(Outcome) render.Origin
	policy func(name string) string // where one is written, or nothing
	anew   map[id]string            // objects that were deleted and made anew, and why
}

func (o *Outcome) id() id {
	if o.Kind == "" {
		return id{name: o.Layer}
	}
	return id{groupOf(o.APIVersion), o.Kind, o.Namespace, o.Name}
}

func (o *Outcome) String() string {
	if o.Kind == "" {
		return "layer " + o.Layer
	}
	return o.id().String()
}

func (v *verdict) compare(base, head []Outcome) error {
	before := make(map[id]*Outcome, len(base))
	for n := range base {
		before[base[n].id()] = &base[n]
	}
	declared, err := v.redeclared()
	if err != nil {
		return err
	}
	failed := map[string]bool{}
	for n := range head {
		failed[head[n].Layer] = failed[head[n].Layer] || head[n].Refused != "" && !head[n].Missing
	}
	v.inherit(failed)
	for n := range head {
		o, was := &head[n], before[head[n].id()]
		if was == nil {
			was = &Outcome{}
		}
		if o.Missing && failed[o.Layer] {
			continue // follows from what is said of another layer
		}
		v.said(o, was)
		if _, anew := v.anew[o.id()]; o.Live != nil && was.Live != nil && !anew {
			if err := v.live(o, was, declared[o.id()]); err != nil {
				return err
			}
		}
	}
	return nil
}

// inherit takes layers that depend on one that failed for failed, too.
func (v *verdict) inherit(failed map[string]bool) {
	for _, l := range v.layers[1] { // each comes after those that it depends on
		failed[l.Name] = failed[l.Name] || slices.ContainsFunc(l.DependsOn, func(dep string) bool { return failed[dep] })
	}
}

// said adds what the server said of an object at head.
func (v *verdict) said(o, was *Outcome) {
	why, anew := v.anew[o.id()]
	if anew {
		v.add(o, Finding{Kind: MadeAnew, Message: why})
	}
	switch {
	case anew && o.Recreate:
		v.add(o, Finding{Kind: Untried, Message: "it does not go here, where no controllers run"})
	case o.Refused != "":
		hint := o.Hint
		if _, by, found := strings.Cut(o.Refused, "ValidatingAdmissionPolicy '"); found && hint == "" {
			name, _, _ := strings.Cut(by, "'")
			hint = v.policy(name)
		}
		v.add(o, Finding{Kind: Refused, Message: o.Refused, Hint: hint, Old: was.Refused == o.Refused, Recreate: o.Recreate})
	}
	if o.Untried != "" {
		v.add(o, Finding{Kind: Untried, Message: o.Untried, Old: was.Untried == o.Untried})
	}
	for _, text := range o.Warnings {
		v.add(o, Finding{Kind: Warned, Message: text, Old: slices.Contains(was.Warnings, text)})
	}
}

// live adds how an object changes on the server, which fills in and mends what
// is declared.
func (v *verdict) live(o, was *Outcome, redeclared bool) error {
	old, err := decode(was.Live)
	if err != nil {
		return err
	}
	current, err := decode(o.Live)
	if err != nil {
		return err
	}
	switch fields := compareObjects(old, current); {
	case len(fields) > 0:
		v.add(o, Finding{Kind: Live, Fields: fields})
	case redeclared:
		v.add(o, Finding{Kind: NoEffect})
	}
	return nil
}

func (v *verdict) add(o *Outcome, f Finding) {
	f.Object, f.Layer = o.String(), o.Layer
	if f.Kind == Refused || f.Kind == Warned {
		at := v.origin(*o)
		f.File, f.Line = at.File, at.Line
	}
	v.found.add(f, v.sites)
}

// redeclared are the objects that are declared otherwise at head than at base.
func (v *verdict) redeclared() (map[id]bool, error) {
	before, err := remaining(v.layers[0], v.layers[1])
	if err != nil {
		return nil, err
	}
	after, err := remaining(v.layers[1], v.layers[0])
	if err != nil {
		return nil, err
	}
	both := map[id]bool{}
	for key, a := range after {
		if b, was := before[key]; was && string(a.raw) != string(b.raw) {
			both[key] = true
		}
	}
	return both, nil
}

// findings puts the same findings of several renderings together.
type findings map[string]*Finding

func (f findings) add(one Finding, sites []string) {
	key, err := json.Marshal(one)
	if err != nil {
		key = []byte(one.Object + one.Message) // a finding is texts and JSON
	}
	if f[string(key)] == nil {
		f[string(key)] = &one
	}
	f[string(key)].Sites = append(f[string(key)].Sites, sites...)
}

// list orders the findings: what is new and grave first.
func (f findings) list() []Finding {
	out := []Finding{}
	for _, one := range f {
		slices.Sort(one.Sites)
		out = append(out, *one)
	}
	slices.SortFunc(out, func(a, b Finding) int {
		return cmp.Or(age(a)-age(b), slices.Index(findingKinds, a.Kind)-slices.Index(findingKinds, b.Kind), cmp.Compare(a.Layer, b.Layer),
			cmp.Compare(a.Object, b.Object), cmp.Compare(a.Message, b.Message), slices.Compare(a.Sites, b.Sites))
	})
	return out
}

func age(f Finding) int {
	if f.Old {
		return 1
	}
	return 0
}
