package review

import (
	"fmt"
	"slices"
	"strings"

	"github.com/holdfast-fleet/holdfast/fleet"
	"github.com/holdfast-fleet/holdfast/render"
)

// of returns what is said of the object of a change, at its sites.
func (s *Served) of(g *Group) []Finding {
	if s == nil || g.Layer == "" {
		return nil
	}
	var list []Finding
	for _, f := range s.Findings {
		if f.Object == g.Object && shares(f.Sites, g.Sites) {
			list = append(list, f)
		}
	}
	return list
}

// shares tells whether two sorted lists have a name in common.
func shares(a, b []string) bool {
	return slices.ContainsFunc(a, func(name string) bool {
		_, found := slices.BinarySearch(b, name)
		return found
	})
}

// apart returns what is said of objects that no change is about.
func (s *Served) apart(groups []Group) []Finding {
	if s == nil {
		return nil
	}
	about := map[string][]*Group{}
	for n := range groups {
		if groups[n].Layer != "" {
			about[groups[n].Object] = append(about[groups[n].Object], &groups[n])
		}
	}
	var list []Finding
	for _, f := range s.Findings {
		if !slices.ContainsFunc(about[f.Object], func(g *Group) bool { return shares(f.Sites, g.Sites) }) {
			list = append(list, f)
		}
	}
	return list
}

// markRefused makes changes dangerous that a server refuses, and puts them first.
func (c *Changes) markRefused() {
	for n := range c.Groups {
		g := &c.Groups[n]
		refused := slices.ContainsFunc(c.Server.of(g), func(f Finding) bool { return f.Kind == Refused && !f.Old })
		anew := slices.ContainsFunc(c.Server.of(g), func(f Finding) bool { return f.Kind == MadeAnew })
		switch {
		case g.Danger != "":
		case refused:
			g.Danger = "the API server refuses it"
		case anew:
			g.Danger = "the API server does not change this on a live object"
		}
	}
	slices.SortStableFunc(c.Groups, func(a, b Group) int { return grave(&a) - grave(&b) })
}

// origins finds where objects of a rendering are written.
func (t *Trial) origins(r *rendering) func(Outcome) render.Origin {
	known := map[string]render.Origins{}
	return func(o Outcome) render.Origin {
		if o.Layer == render.PolicyLayer {
			return t.written.Of(o.APIVersion, o.Kind, o.Namespace, o.Name)
		}
		in, found := known[o.Layer]
		i := slices.IndexFunc(r.new.Profile.Layers, func(l fleet.Layer) bool { return l.Name == o.Layer })
		if !found && i >= 0 {
			var err error
			if in, err = t.renderers[1].Origins(r.new, r.new.Profile.Layers[i]); err != nil {
				in = render.Origins{} // it was built before; that it cannot be traced is no reason to say nothing
			}
			known[o.Layer] = in
		}
		return in.Of(o.APIVersion, o.Kind, o.Namespace, o.Name)
	}
}

// beyond are the fields that change on the server besides those that are declared.
func beyond(live, declared []Field) []Field {
	var out []Field
	for _, f := range live {
		same := func(d Field) bool {
			if rest, ok := strings.CutPrefix(d.Path, "stringData"); ok && d.Hidden {
				d.Path = "data" + rest // the API server keeps it there
			}
			return d.Path == f.Path && string(d.Old) == string(f.Old) && string(d.New) == string(f.New)
		}
		if !slices.ContainsFunc(declared, same) {
			out = append(out, f)
		}
	}
	return out
}

// head says a finding in one line.
func (f *Finding) head() string {
	already := ""
	if f.Old {
		already = " already"
	}
	switch f.Kind {
	case Refused:
		return "refused" + already + ": " + f.Message
	case MadeAnew:
		return "deleted and made anew, as a commit allows: " + f.Message
	case Warned:
		return "warning: " + f.Message
	case Untried:
		return "not tried: " + f.Message
	case NoEffect:
		return "no effect: the API server has it so already"
	}
	return "on the API server, this changes besides:"
}

// place is where the object of a finding is written.
func (f *Finding) place() string {
	switch {
	case f.File == "":
		return ""
	case f.Line == 0:
		return f.File
	}
	return fmt.Sprintf("%s:%d", f.File, f.Line)
}

// title names the object of a finding.
func (f *Finding) title() string {
	if f.Object == "layer "+f.Layer {
		return f.Object
	}
	return fmt.Sprintf("%s (layer %s)", f.Object, f.Layer)
}

// noise are warnings that were there before.
func (f *Finding) noise() bool { return f.Kind == Warned && f.Old }

// line says which servers were asked.
func (s *Served) line() string {
	if s.Version == "" {
		return "no API server was needed: nothing that is applied changes"
	}
	text := fmt.Sprintf("tried on Kubernetes %s: %d of %s", s.Version, s.Tried, count(s.Renderings, "different rendering"))
	switch n := s.Refusals(); {
	case n > 0:
		text += ", " + count(n, "object") + " refused"
	default:
		text += ", nothing refused"
	}
	if len(s.Untried) > 0 {
		text += "; not tried: " + some(s.Untried, textNames)
	}
	return text
}
