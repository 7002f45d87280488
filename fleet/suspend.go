package fleet

import (
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// Suspension is that a site, or some of its layers, stays as it is for a while.
type Suspension struct {
	Layers []string  `json:"layers,omitempty"` // empty: all of the site, and its nodes
	Reason string    `json:"reason"`
	Until  time.Time `json:"until"`
	At     Position  `json:"at"` // where it is declared; Line 0: nowhere
}

// Of tells whether it suspends a layer; all of the site if the name is empty.
func (s Suspension) Of(layer string) bool {
	if layer == "" {
		return len(s.Layers) == 0
	}
	return slices.Contains(s.Layers, layer)
}

func suspendDoc(what string) string {
	return what + " stays as it is until then: nothing is changed, put right or deleted"
}

const maxReason = 200 // bytes

// suspendField reads spec.suspend of a file, or, if it is alone, of a layer.
func (r reader) suspendField(to *Suspension, alone bool, doc string) field {
	fields := map[string]field{
		"reason": {true, "Why, for whoever asks at 3 a.m.", textShape, func(n *yaml.Node) {
			if to.Reason = r.text(n, "reason"); len(to.Reason) > maxReason || strings.ContainsAny(to.Reason, "\r\n") {
				r.problem(n, fmt.Sprintf("say it in a line of at most %d letters", maxReason), "the reason is too long")
			}
		}},
		"until": {true, "When it is over by itself, as in RFC 3339: 2027-01-07T06:00:00Z", timeShape, func(n *yaml.Node) { to.Until = r.time(n, "until") }},
	}
	if !alone {
		fields["layers"] = field{false, "The layers that stay as they are; default all, and the nodes", listOf(nameShape), func(n *yaml.Node) {
			r.items(n, "layers", func(n *yaml.Node) { to.Layers = append(to.Layers, r.name(n, "a layer's name")) })
		}}
	}
	return field{false, doc, mapping(fields), func(n *yaml.Node) {
		to.At = Position{r.file, n.Line}
		r.object(n, "suspend", fields)
	}}
}

func timeShape() schema { return schema{"type": "string", "format": "date-time"} }

// time reads a moment as RFC 3339 writes it, in quotes or not.
func (r reader) time(n *yaml.Node, what string) time.Time {
	n = deref(n)
	t, err := time.Parse(time.RFC3339, n.Value)
	if err != nil || n.Kind != yaml.ScalarNode || n.ShortTag() != "!!str" && n.ShortTag() != "!!timestamp" {
		r.problem(n, "write it like 2027-01-07T06:00:00Z", "%s is not a time with a date and an offset", what)
		return time.Time{}
	}
	return t.UTC()
}

// suspend collects what suspends a site: the fleet, its groups, itself, and its
// profile for single layers. Each counts until it is over.
func (l *loader) suspend(s *Site, from *siteRecord, groups []*group) {
	own := from.Suspend
	own.At.File = path.Join(s.Dir, own.At.File)
	all := []Suspension{l.fleet.suspend}
	for _, g := range groups {
		all = append(all, g.suspend)
	}
	all = append(all, own)
	if s.Profile == nil {
		s.Suspended = all
		return
	}
	for _, layer := range s.Profile.Layers {
		l.markLayer(all, layer.Name)
		layer.Suspend.Layers = []string{layer.Name}
		all = append(all, layer.Suspend)
	}
	s.Suspended = slices.DeleteFunc(all, func(one Suspension) bool { return one.At.Line == 0 })
	l.strangers(own, "profile "+s.Profile.Name+" has no such layer")
}

// suspendedLayer is one name in a list of layers to suspend.
type suspendedLayer struct {
	at   Position
	name string
}

// markLayer notes that a layer of a site is named.
func (l *loader) markLayer(by []Suspension, name string) {
	for _, one := range by {
		if len(one.Layers) > 0 {
			l.suspended[suspendedLayer{one.At, name}] = true
		}
	}
}

// strangers reports names of layers that no site has which they are to suspend.
func (l *loader) strangers(one Suspension, why string) {
	for _, name := range one.Layers {
		if name != "" && !l.suspended[suspendedLayer{one.At, name}] {
			l.add(one.At.File, one.At.Line, "name a layer of the profile, or drop it", "layer %s cannot be suspended: %s", name, why).Rule = RuleNoSuchLayer
		}
	}
}
