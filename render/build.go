package render

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"

	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/api/resmap"
	"sigs.k8s.io/kustomize/api/resource"
	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/kustomize/kyaml/filesys"

	"github.com/holdfast-fleet/holdfast/fleet"
)

// built is what kustomize made of a kustomization, before variables.
type built struct {
	templates []template
	varies    bool                     // variables make a difference
	plain     bool                     // no two of the same, and no name that variables decide; then templates are in order
	sealed    map[string][]byte        // SOPS documents that were read, by path
	file      string                   // the kustomization, for errors
	texts     func() map[string][]byte // the files that it was made of, by path, for errors

	called  []called // what the templates are, if it is plain
	settled onces[settling, []settled]

	listed sync.Once
	list   []Shape
}

// settling is for the sites of a profile; a distribution has no locked images.
type settling struct {
	profile *fleet.Profile
	locked  bool
}

// settled is what a template is at all of them; one that varies has no text.
type settled struct {
	text   json.RawMessage
	images []image
}

// build returns what kustomize makes of an input. What profiles share is kept.
func (r *Renderer) build(in *input) (*built, error) {
	if !under(in.dir, in.reach.profile) {
		return r.makeBuilt(in)
	}
	return r.builds.do(in.key, func() (*built, error) { return r.makeBuilt(in) })
}

func (r *Renderer) makeBuilt(in *input) (*built, error) {
	b := &built{file: in.file, texts: func() map[string][]byte { return textsOf(in) }}
	kept, err := r.templates(in)
	if err != nil {
		return nil, err
	}
	b.templates, b.sealed = kept.Templates, kept.Sealed
	seen := map[string]bool{}
	b.plain = true
	for i := range b.templates {
		t := &b.templates[i]
		id := t.object().id()
		b.plain = b.plain && !t.Named && !seen[id]
		b.varies = b.varies || t.varies()
		seen[id] = true
	}
	if b.plain {
		sortTemplates(b.templates)
		for i := range b.templates {
			b.called = append(b.called, b.templates[i].called())
		}
	}
	return b, nil
}

func sortTemplates(list []template) {
	slices.SortStableFunc(list, func(a, b template) int { return compareObjects(a.object(), b.object()) })
}

func textsOf(in *input) map[string][]byte {
	in, err := in.scanned()
	if err != nil {
		return nil
	}
	return in.scan.texts
}

// kept is what is remembered of a build.
type kept struct {
	Templates []template        `json:"templates"`
	Sealed    map[string][]byte `json:"sealed,omitempty"`
}

func (r *Renderer) templates(in *input) (kept, error) {
	name := "build " + in.key
	if known, ok := r.memo.Get(name); ok {
		var k kept
		if err := json.Unmarshal(known, &k); err == nil && wellFormed(k.Templates) {
			return k, nil
		}
	}
	in, err := in.scanned()
	if err != nil {
		return kept{}, err
	}
	j, err := r.job(in)
	if err != nil {
		return kept{}, err
	}
	list, err := r.run(in, j)
	if err != nil {
		return kept{}, err
	}
	k := kept{Templates: list, Sealed: in.scan.sealed}
	if data, err := json.Marshal(k); err == nil {
		r.memo.Put(name, data)
	}
	return k, nil
}

// run runs kustomize for an input, once for all that pass on to the same.
func (r *Renderer) run(in *input, j job) ([]template, error) {
	if to := in.scan.passesOn(in.dir); to != in.dir && in.files.shared(to) {
		at := j
		at.Dir = to
		if list, err := r.passed.do(passed{in.files.shelf, to}, at.run); err == nil {
			return slices.Clone(list), nil
		}
	}
	return j.run()
}

// wellFormed keeps a record that is not of our making from doing harm.
func wellFormed(list []template) bool {
	for _, t := range list {
		at := 0
		for _, s := range t.Slots {
			if s.From < at || s.To < s.From || s.To > len(t.Text) {
				return false
			}
			at = s.To
		}
	}
	return true
}

// job is one run of kustomize: all the files that it may see, by path.
type job struct {
	Dir     string
	File    string // the kustomization in Dir, for errors
	Files   map[string][]byte
	OpenAPI bool // a kustomization changes the schema that kustomize merges by
	Origins bool // templates say where they come from

	StandIns []string          // for what is encrypted in Files
	Rendered map[string]string // those of Files that a chart rendered, and from which of its files
}

// run runs kustomize in this process.
func (j job) run() ([]template, error) {
	m, err := j.kustomize()
	if err != nil {
		return nil, j.problem(err)
	}
	var list []template
	for _, res := range m.Resources() {
		o, err := newObject(res.YNode(), j.File)
		if err != nil {
			return nil, j.written(err)
		}
		if len(j.StandIns) > 0 {
			if err := j.seal(o); err != nil {
				return nil, err
			}
		}
		var from resource.Origin
		if j.Origins {
			if from, err = takeOrigin(o); err != nil {
				return nil, err
			}
		}
		t, err := newTemplate(o, true)
		if err != nil {
			return nil, fmt.Errorf("encode %s: %w", o, err)
		}
		t.From = j.source(from)
		list = append(list, t)
	}
	return list, nil
}

func (j job) kustomize() (m resmap.ResMap, err error) {
	mem := filesys.MakeFsInMemory()
	for name, data := range j.Files {
		if j.Origins && name == j.File {
			if data, err = track(data); err != nil {
				return nil, err
			}
		}
		if err := mem.WriteFile("/"+name, data); err != nil {
			return nil, err
		}
	}
	begin := kustomize.read
	if j.OpenAPI {
		begin = kustomize.change
	}
	defer begin()()
	defer func() {
		if p := recover(); p != nil { // kustomize panics on some malformed input
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	return krusty.MakeKustomizer(&krusty.Options{
		Reorder:          krusty.ReorderOptionUnspecified,
		LoadRestrictions: types.LoadRestrictionsNone, // mem holds only what was scanned
		PluginConfig:     types.DisabledPluginConfig(),
	}).Run(mem, "/"+strings.TrimPrefix(j.Dir, "/"))
}
