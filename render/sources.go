package render

import (
	"maps"
	"regexp"
	"slices"

	"github.com/holdfast-fleet/holdfast/fleet"
)

// Sources are what a layer of a site is made from.
type Sources struct {
	Files     []string            // of the repository, sorted
	Variables map[string][]string // that each object uses, sorted, by "Kind namespace/name", and each probe, by "probe" and its address
}

// DistributionLayer is what the sources of a site's distribution are asked for by.
const DistributionLayer = "distribution"

// Sources finds out what a layer of a site, or its distribution, is made from.
// There are none of a layer that the site does not have.
func (r *Renderer) Sources(site *fleet.Site, layer string) (Sources, error) {
	s, err := r.sourcesOfObjects(site, layer)
	at := slices.IndexFunc(site.Profile.Layers, func(l fleet.Layer) bool { return l.Name == layer })
	if err != nil || at < 0 || !probesVary(site.Profile.Layers[at]) {
		return s, err
	}
	s.Variables = maps.Clone(s.Variables) // others have the same
	for _, p := range site.Profile.Layers[at].Probes {
		if used := usesIn(p.HTTP + p.TCP); len(used) > 0 {
			s.Variables["probe "+p.HTTP+p.TCP] = slices.Compact(slices.Sorted(slices.Values(used)))
		}
	}
	return s, nil
}

func (r *Renderer) sourcesOfObjects(site *fleet.Site, layer string) (Sources, error) {
	at := slices.IndexFunc(site.Profile.Layers, func(l fleet.Layer) bool { return l.Name == layer })
	from := DistributionOf(site.Profile)
	switch {
	case at >= 0:
		from = site.Profile.Layers[at]
	case layer != DistributionLayer:
		return Sources{}, nil
	}
	in, err := r.inputOf(site, from)
	if err != nil {
		return Sources{}, err
	}
	b, err := r.build(in)
	if err != nil {
		return Sources{}, err
	}
	if !under(in.dir, in.reach.profile) || slices.ContainsFunc(b.templates, func(t template) bool { return t.Named }) {
		return newVariables(site).sources(b)
	}
	return r.sources.do(in.key, func() (Sources, error) { return newVariables(site).sources(b) })
}

func (v variables) sources(b *built) (Sources, error) {
	s := Sources{Files: slices.Sorted(maps.Keys(b.texts())), Variables: map[string][]string{}}
	for _, t := range b.templates {
		used := t.uses()
		if t.Named {
			named, err := t.named(v, b)
			if err != nil {
				return s, err
			}
			t = named
		}
		if len(used) > 0 {
			name := t.object().String()
			s.Variables[name] = slices.Compact(slices.Sorted(slices.Values(append(used, s.Variables[name]...))))
		}
	}
	return s, nil
}

// useOf is a use of a variable; one whose dollar is doubled is none.
var useOf = regexp.MustCompile(`\$?\$\{([A-Za-z_][A-Za-z0-9_]*)(?::=[^}]*)?\}`)

// uses names the variables of a template, as often as they are used.
func (t *template) uses() []string {
	var names []string
	if t.Named {
		names = usesIn(string(t.Text))
	}
	for _, s := range t.Slots {
		if s.Variable {
			names = append(names, usesIn(s.Value)...)
		}
	}
	return names
}

func usesIn(text string) []string {
	var names []string
	for _, m := range useOf.FindAllStringSubmatch(text, -1) {
		if m[0][1] != '$' {
			names = append(names, m[1])
		}
	}
	return names
}
