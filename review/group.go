package review

import (
	"cmp"
	"encoding/json"
	"path"
	"slices"
	"strings"

	"github.com/holdfast-fleet/holdfast/fleet"
)

// group puts identical changes of the sites together. pairs are ordered by name.
func (c *Changes) group(pairs []*pair) {
	groups := grouper{}
	c.where = make(map[string]place, len(pairs))
	for _, p := range pairs {
		at := p.either()
		names := inNodeOrder(at)
		c.where[p.name] = place{at.Profile.Name, strings.TrimPrefix(strings.TrimPrefix(path.Dir(at.Dir), "sites"), "/")}
		for i, change := range p.changes {
			groups.add(change, p.why[i], p.name, names...)
		}
		changed := map[string]bool{}
		for _, h := range p.ofHosts {
			why := causes{}
			why.add(p.changed.of(at, h.File))
			groups.add(h.Change, why, p.name, h.Name)
			changed[h.Name] = true
		}
		if len(p.changes) > 0 {
			for _, name := range names {
				changed[name] = true
			}
		}
		c.Hosts += len(changed)
		if len(p.changes)+len(p.ofHosts) > 0 {
			c.Sites++
		}
	}
	c.Groups = groups.list()
}

// warn lists what to see to: secrets, and images that are new or have no digest.
func (c *Changes) warn(secrets []Group, pairs []*pair, before *fleet.Fleet) {
	unlocked := grouper{}
	for _, p := range pairs {
		for _, ref := range p.is.Unlocked {
			if !slices.Contains(p.was.Unlocked, ref) {
				unlocked.add(Change{Kind: Unlocked, Object: ref, Note: "run holdfast lock"}, nil, p.name, inNodeOrder(p.new)...)
			}
		}
	}
	c.Warnings = slices.Concat(c.Warnings, secrets, strangers(pairs, before).list(), unlocked.list())
}

// grouper collects groups by their change.
type grouper map[string]*collected

type collected struct {
	Group
	causes map[string]*Cause
}

func (g grouper) add(c Change, why causes, site string, hosts ...string) {
	key, err := json.Marshal(c)
	if err != nil {
		key = []byte(err.Error()) // a change is texts and JSON
	}
	group := g[string(key)]
	if group == nil {
		group = &collected{Group{Change: c, Sites: []string{}, Hosts: []string{}}, map[string]*Cause{}}
		g[string(key)] = group
	}
	if n := len(group.Sites); n == 0 || group.Sites[n-1] != site {
		group.Sites = append(group.Sites, site)
	}
	group.Hosts = append(group.Hosts, hosts...)
	for file, variables := range why {
		known := group.causes[file]
		if known == nil {
			known = &Cause{File: file}
			group.causes[file] = known
		}
		known.Sites++
		known.Variables = append(known.Variables, variables...)
	}
}

// list orders the groups: the gravest first, then those for most hosts.
func (g grouper) list() []Group {
	list := make([]Group, 0, len(g))
	keys := make(map[*Group]string, len(g))
	sorted := make([]*Group, 0, len(g))
	for key, group := range g {
		group.explained(group.causes)
		keys[&group.Group] = key
		sorted = append(sorted, &group.Group)
	}
	slices.SortFunc(sorted, func(a, b *Group) int {
		return cmp.Or(grave(a)-grave(b), slices.Index(byGravity, a.Kind)-slices.Index(byGravity, b.Kind),
			len(b.Hosts)-len(a.Hosts), len(b.Sites)-len(a.Sites), cmp.Compare(keys[a], keys[b]))
	})
	for _, group := range sorted {
		list = append(list, *group)
	}
	return list
}

func grave(g *Group) int {
	if g.Danger != "" {
		return 0
	}
	return 1
}

// all are changes and warnings as they are shown: what is dangerous, the warnings,
// and the rest.
func (c *Changes) all() []Group {
	calm := slices.IndexFunc(c.Groups, func(g Group) bool { return g.Danger == "" })
	if calm < 0 {
		calm = len(c.Groups)
	}
	return slices.Concat(c.Groups[:calm], c.Warnings, c.Groups[calm:])
}
