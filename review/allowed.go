package review

import (
	"fmt"
	"slices"

	"github.com/holdfast-fleet/holdfast/fleet"
)

// allowed is what may be deleted at a site without holding it, or its layer, up.
type allowed struct {
	commits fleet.Permits
	site    []fleet.Permit // to delete for good
}

// permit is what allows that the object is deleted.
func (i id) permit() fleet.Permit {
	return fleet.Permit{Group: i.group, Kind: i.kind, Namespace: i.namespace, Name: i.name}
}

func among(list []fleet.Permit, p fleet.Permit) bool {
	return slices.ContainsFunc(list, func(q fleet.Permit) bool {
		return q == p || p.Layer == "" && q.Names(p.Group, p.Kind, p.Namespace, p.Name)
	})
}

// mergeToo is said because hosts read the messages of the line that they follow.
const mergeToo = "as a commit allows (if it is merged by a commit of its own, that one must say so, too)"

// prune says what hosts do with what they hold back unless somebody allows that it goes.
func (a allowed) prune(p fleet.Permit) string {
	switch {
	case among(a.site, p):
		return "hosts delete it: spec.prune of the site allows that"
	case among(a.commits.Prune, p):
		return "hosts delete it, " + mergeToo
	}
	p.Group = ""
	return fmt.Sprintf("hosts hold it: it stays in the cluster until a commit says \"Allow-Prune: %s\"", p)
}

// recreate says what hosts do with what cannot be changed while it lives.
func (a allowed) recreate(p fleet.Permit) string {
	if among(a.commits.Recreate, p) {
		return "hosts delete it and make it anew, " + mergeToo
	}
	p.Group = ""
	return fmt.Sprintf("its layer fails until the object has another name, or a commit says \"Allow-Recreate: %s\"", p)
}
