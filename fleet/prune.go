package fleet

import (
	"slices"

	"go.yaml.in/yaml/v3"
)

// Prune says how much a site lets go without a commit that asks for it by name.
type Prune struct {
	Share int      `json:"s"`           // percent of what is in the cluster, at most
	Allow []Permit `json:"a,omitempty"` // needs no commit's word
}

// DefaultPruneShare holds what a site deletes at once to less than a third.
const DefaultPruneShare = 30

// pruneRule is spec.prune of a file.
type pruneRule struct {
	Line int `json:"l"` // 0: the file has none
	Prune
}

func (r reader) pruneField(to *pruneRule) field {
	fields := map[string]field{
		"share": {false, "Percent of a site's objects that one change deletes without a commit that names them; default 30", between(0, 100), func(n *yaml.Node) {
			to.Share = r.number(n, "share", 0, 100)
		}},
		"allow": {false, "What needs no commit that names it: an object, as in Namespace shop, or what is left of a layer, as in layer shop", listOf(textShape), func(n *yaml.Node) {
			r.items(n, "allow", func(n *yaml.Node) {
				permit, err := ParsePermit(r.text(n, "allow"))
				if err != nil {
					r.problem(n, PermitTip, "%q permits nothing: %s", deref(n).Value, err)
					return
				}
				to.Allow = append(to.Allow, permit)
			})
		}},
	}
	return field{false, "What may be deleted without a commit that says Allow-Prune; the nearest counts, all of it", mapping(fields), func(n *yaml.Node) {
		to.Line, to.Share = n.Line, DefaultPruneShare
		r.object(n, "prune", fields)
	}}
}

// nearestPrune is that of the site, or else of the nearest group.
func nearestPrune(from *siteRecord, groups []*group) Prune {
	if from.Prune.Line > 0 {
		return from.Prune.Prune
	}
	for _, g := range slices.Backward(groups) {
		if g.prune.Line > 0 {
			return g.prune.Prune
		}
	}
	return Prune{Share: DefaultPruneShare}
}
