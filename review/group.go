package review

import (
	"cmp"
	"encoding/json"
	"path"
	"slices"
	"strings"
)

// group puts identical changes of the sites together. pairs are ordered by name.
func (c *Changes) group(pairs []*pair) {
	groups, unlocked := grouper{}, grouper{}
	sites, hosts := map[string]bool{}, map[string]bool{}
	c.where = make(map[string]place, len(pairs))
	for _, p := range pairs {
		at := p.new
		if at == nil {
			at = p.old
		}
		names := inNodeOrder(at)
		c.where[p.name] = place{at.Profile.Name, strings.TrimPrefix(strings.TrimPrefix(path.Dir(at.Dir), "sites"), "/")}
		for _, change := range p.changes {
			groups.add(change, p.name, names...)
		}
		for _, change := range p.ofHosts {
			groups.add(change.Change, p.name, change.host)
			hosts[change.host] = true
		}
		for _, ref := range p.is.Unlocked {
			if !slices.Contains(p.was.Unlocked, ref) {
				unlocked.add(Change{Kind: Create, Object: ref}, p.name, names...)
			}
		}
		if len(p.changes) > 0 {
			for _, name := range names {
				hosts[name] = true
			}
		}
		sites[p.name] = len(p.changes)+len(p.ofHosts) > 0
	}
	for _, changed := range sites {
		if changed {
			c.Sites++
		}
	}
	c.Hosts = len(hosts)
	c.Groups, c.Unlocked = groups.list(), unlocked.list()
}

type grouper map[string]*Group

func (g grouper) add(c Change, site string, hosts ...string) {
	key, err := json.Marshal(c)
	if err != nil {
		key = []byte(err.Error()) // a change is texts and JSON
	}
	group := g[string(key)]
	if group == nil {
		group = &Group{Change: c, Sites: []string{}, Hosts: []string{}}
		g[string(key)] = group
	}
	if n := len(group.Sites); n == 0 || group.Sites[n-1] != site {
		group.Sites = append(group.Sites, site)
	}
	group.Hosts = append(group.Hosts, hosts...)
}

// list orders the groups: the gravest first, then those for most hosts.
func (g grouper) list() []Group {
	list := make([]Group, 0, len(g))
	keys := make(map[*Group]string, len(g))
	sorted := make([]*Group, 0, len(g))
	for key, group := range g {
		keys[group] = key
		sorted = append(sorted, group)
	}
	slices.SortFunc(sorted, func(a, b *Group) int {
		return cmp.Or(grave(a)-grave(b), slices.Index(kinds, a.Kind)-slices.Index(kinds, b.Kind),
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
