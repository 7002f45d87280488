package review

import (
	"bytes"
	"cmp"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/holdfast-fleet/holdfast/fleet"
	"github.com/holdfast-fleet/holdfast/render"
)

// Cause is a file that explains a change: it differs, or is of a group that the site came under or left.
type Cause struct {
	File      string   `json:"file"`
	Variables []string `json:"variables,omitempty"` // that are declared or set in it and differ
	Sites     int      `json:"sites"`               // that it explains the change at
}

// causes collects, for one change at one site, files and the variables in them.
type causes map[string][]string

func (c causes) add(files []string, variables ...string) {
	for _, file := range files {
		c[file] = append(c[file], variables...)
	}
}

// changed are the files that differ between two states.
type changed struct {
	files map[string]bool
	trees [2]fs.FS
	kinds *sync.Map // of objects, by state and file
}

func newChanged(paths []string, base, head State) changed {
	c := changed{files: make(map[string]bool, len(paths)), trees: [2]fs.FS{base.FS, head.FS}, kinds: &sync.Map{}}
	for _, p := range paths {
		c.files[p] = true
	}
	return c
}

// of returns those of the files that differ, but none that a site has from a pin.
func (c changed) of(s *fleet.Site, files ...string) []string {
	var out []string
	for _, file := range files {
		pinned := !s.Profile.Pin.IsZero() && (strings.HasPrefix(file, s.Profile.Dir+"/") || strings.HasPrefix(file, "bases/"))
		if c.files[file] && !pinned {
			out = append(out, file)
		}
	}
	return out
}

// of returns those of the files that explain a change: they differ, or only one
// state of the site is below the group that they are of. What moved with the site
// as it was explains nothing.
func (p *pair) of(s *fleet.Site, files ...string) []string {
	out := slices.DeleteFunc(p.changed.of(s, files...), p.onlyMoved)
	for _, file := range files {
		if p.crossed(file) && !slices.Contains(out, file) {
			out = append(out, file)
		}
	}
	return out
}

// onlyMoved tells whether a file of the site has the same bytes in its other folder.
func (p *pair) onlyMoved(file string) bool {
	if p.old == nil || p.new == nil || p.old.Dir == p.new.Dir {
		return false
	}
	for state, dirs := range [][2]string{{p.old.Dir, p.new.Dir}, {p.new.Dir, p.old.Dir}} {
		if name, ok := strings.CutPrefix(file, dirs[0]+"/"); ok {
			here, err := fs.ReadFile(p.changed.trees[state], file)
			if err != nil {
				return false
			}
			there, err := fs.ReadFile(p.changed.trees[1-state], path.Join(dirs[1], name))
			return err == nil && bytes.Equal(here, there)
		}
	}
	return false
}

// crossed tells whether the site came under a group, or left it, that the file is of.
func (p *pair) crossed(file string) bool {
	dir, ok := strings.CutSuffix(file, "/group.yaml")
	return ok && p.old != nil && p.new != nil && slices.Contains(p.old.Groups, dir) != slices.Contains(p.new.Groups, dir)
}

// kindLine is where a document says what kind of object it is.
var kindLine = regexp.MustCompile(`(?m)^["']?kind["']?:[ \t]*["']?([A-Za-z]+)`)

// makes tells whether a file may have to do with an object of a kind: one that
// holds objects of other kinds alone has not.
func (c changed) makes(kind string, state int, file string) bool {
	type key struct {
		state int
		file  string
	}
	known, ok := c.kinds.Load(key{state, file})
	if !ok {
		var kinds []string
		data, err := fs.ReadFile(c.trees[state], file)
		if err == nil {
			for _, m := range kindLine.FindAllSubmatch(data, -1) {
				kinds = append(kinds, string(m[1]))
			}
		}
		known, _ = c.kinds.LoadOrStore(key{state, file}, kinds)
	}
	kinds, _ := known.([]string)
	return kind == "" || len(kinds) == 0 || slices.ContainsFunc(kinds, func(k string) bool {
		return k == kind || k == "Kustomization" || k == "Component" || strings.HasSuffix(k, "List") || strings.HasSuffix(k, "Generator") || strings.HasSuffix(k, "Transformer")
	})
}

// explain finds out which of the files that differ explain a change at the site.
func (p *pair) explain(c *Change) (causes, error) {
	found := causes{}
	if p.old == nil || p.new == nil {
		s := p.either()
		found.add(p.of(s, path.Join(s.Dir, "site.yaml")))
		return found, nil
	}
	for state, s := range []*fleet.Site{p.old, p.new} {
		if profileOf(p.old) != profileOf(p.new) {
			found.add(p.of(s, s.ChosenIn))
		}
		if c.Kind == Profile {
			continue
		}
		if c.Object == "site" {
			found.add(p.of(s, saidIn(s)...))
			continue
		}
		if err := p.explainAt(state, s, found, c); err != nil {
			return nil, err
		}
	}
	return found, nil
}

// explainAt looks at one state of what a change is about.
func (p *pair) explainAt(state int, s *fleet.Site, found causes, c *Change) error {
	layer := c.Layer
	switch {
	case c.Kind == Distribution:
		layer = render.DistributionLayer
	case c.From != "" && state == 0:
		layer = c.From
	}
	declares := slices.ContainsFunc(s.Profile.Layers, func(l fleet.Layer) bool { return l.Name == layer })
	if c.isLayer() || !declares && c.Kind != Distribution {
		found.add(p.of(s, path.Join(s.Profile.Dir, "profile.yaml")))
	}
	if c.pins() {
		found.add(p.of(s, path.Join(s.Profile.Dir, "content.lock")))
	}
	if c.isLayer() {
		return nil
	}
	from, err := p.renderers[state].Sources(s, layer)
	if err != nil {
		return err
	}
	for _, file := range p.of(s, from.Files...) {
		if p.changed.makes(c.kindOf(), state, file) {
			found.add([]string{file})
		}
	}
	for object, uses := range from.Variables {
		if object != c.Object && c.Kind != Distribution {
			continue
		}
		for _, name := range uses {
			if p.old.Variables[name] != p.new.Variables[name] {
				found.add(p.of(s, setIn(s, name)), name)
			}
		}
	}
	return nil
}

// setIn names the file that a site has a variable's value from.
func setIn(s *fleet.Site, name string) string {
	if at, ok := s.SetAt[name]; ok {
		return at.File
	}
	return path.Join(s.Profile.Dir, "profile.yaml")
}

// isLayer tells that the change is of a layer itself, or of their order.
func (c *Change) isLayer() bool { return strings.Contains(c.Object, "layer") && c.kindOf() == "" }

// pins tells whether the digest of an image, or of the distribution, is part of the change.
func (c *Change) pins() bool {
	return slices.ContainsFunc(c.Fields, func(f Field) bool {
		return strings.HasSuffix(f.Path, ".image") || strings.HasSuffix(f.Path, ".reference") || strings.HasPrefix(f.Path, "content")
	})
}

// kindOf is the kind of the object that changes, or "".
func (c *Change) kindOf() string {
	if kind, _, ok := strings.Cut(c.Object, " "); ok && kind[0] >= 'A' && kind[0] <= 'Z' {
		return kind
	}
	return ""
}

// explained orders the causes of a group: what explains it at most sites first.
func (g *Group) explained(all map[string]*Cause) {
	g.Causes = make([]Cause, 0, len(all))
	for _, c := range all {
		slices.Sort(c.Variables)
		c.Variables = slices.Compact(c.Variables)
		g.Causes = append(g.Causes, *c)
	}
	slices.SortFunc(g.Causes, func(a, b Cause) int { return cmp.Or(b.Sites-a.Sites, strings.Compare(a.File, b.File)) })
}
