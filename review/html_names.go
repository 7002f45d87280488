package review

import (
	"cmp"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
)

// place is where a site belongs.
type place struct{ profile, folder string }

// pageData is what the page's script knows: each name once, and lists of names as
// ranges of their indices.
type pageData struct {
	Sites    []string `json:"sites"`
	Hosts    []string `json:"hosts"`
	Profiles []string `json:"profiles"`
	Places   []string `json:"places"`
	Where    [][2]int `json:"where"`  // of each site: profile and place
	Lists    []string `json:"lists"`  // 0-270,275
	Groups   [][2]int `json:"groups"` // the lists of sites and hosts

	room, roomLists int
	lost            bool // something did not fit
	indices         [2]map[string]int
	lists           map[string]int
}

func newPageData() *pageData {
	return &pageData{Sites: []string{}, Hosts: []string{}, Profiles: []string{}, Places: []string{}, Where: [][2]int{}, Lists: []string{}, Groups: [][2]int{},
		room: pageNames, roomLists: pageNames, indices: [2]map[string]int{{}, {}}, lists: map[string]int{}}
}

// add takes the names of groups in. The largest first: then most lists are few ranges.
func (d *pageData) add(groups []Group, where map[string]place) {
	order := make([]*Group, len(groups))
	for i := range groups {
		order[i] = &groups[i]
	}
	slices.SortStableFunc(order, func(a, b *Group) int { return cmp.Compare(len(b.Hosts)+len(b.Sites), len(a.Hosts)+len(a.Sites)) })
	lists := make(map[*Group][2]int, len(groups))
	for _, g := range order {
		lists[g] = [2]int{d.list(g.Sites, 0, &d.Sites), d.list(g.Hosts, 1, &d.Hosts)}
	}
	for i := range groups {
		d.Groups = append(d.Groups, lists[&groups[i]])
	}
	profiles, places := map[string]int{}, map[string]int{}
	for _, name := range d.Sites {
		at := where[name]
		d.Where = append(d.Where, [2]int{number(at.profile, profiles, &d.Profiles), number(at.folder, places, &d.Places)})
	}
}

func number(name string, known map[string]int, names *[]string) int {
	n, ok := known[name]
	if !ok {
		n = len(*names)
		known[name] = n
		*names = append(*names, name)
	}
	return n
}

// list returns the number of a list of names, which is shorter if there is no room.
func (d *pageData) list(list []string, of int, names *[]string) int {
	known := d.indices[of]
	var members []int
	for _, name := range list {
		i, ok := known[name]
		if !ok {
			cost := len(name) + 3
			if !plainText.MatchString(name) {
				cost *= 6 // as it is escaped
			}
			if d.room -= cost; d.room < 0 {
				d.lost = true
				continue
			}
			i = number(name, known, names)
		}
		members = append(members, i)
	}
	text := ranges(members)
	if n, ok := d.lists[text]; ok {
		return n
	}
	if d.roomLists -= len(text) + 3; d.roomLists < 0 {
		d.lost, text = true, ""
		if n, ok := d.lists[text]; ok {
			return n
		}
	}
	return number(text, d.lists, &d.Lists)
}

// ranges writes numbers in their order: 0-270,275.
func ranges(list []int) string {
	var b strings.Builder
	for i := 0; i < len(list); {
		first := list[i]
		for i++; i < len(list) && list[i] == list[i-1]+1; i++ {
		}
		if b.Len() > 0 {
			b.WriteByte(',')
		}
		b.WriteString(strconv.Itoa(first))
		if last := list[i-1]; last > first {
			b.WriteString("-" + strconv.Itoa(last))
		}
	}
	return b.String()
}

// pageChoice is a filter.
type pageChoice struct {
	ID, Label string
	Values    []string
}

// choices lists the filters that tell changes apart.
func choices(groups []Group, where map[string]place) []pageChoice {
	layers, profiles, places := map[string]bool{}, map[string]bool{}, map[string]bool{}
	present := map[Kind]bool{}
	sites := map[string]bool{}
	for i := range groups {
		present[groups[i].Kind] = true
		layers[shorten(clean(groups[i].Layer), 100)] = true
		for _, s := range groups[i].Sites {
			sites[s] = true
		}
	}
	for s := range sites {
		profiles[where[s].profile] = true
		for folder := where[s].folder; folder != "" && folder != "."; folder = path.Dir(folder) {
			places[folder] = true
		}
	}
	var named []string
	for _, k := range byGravity {
		if present[k] {
			named = append(named, string(k))
		}
	}
	var out []pageChoice
	for _, c := range []pageChoice{{"kind", "Kind", named}, {"layer", "Layer", sorted(layers)}, {"profile", "Profile", sorted(profiles)}, {"place", "Group of sites", sorted(places)}} {
		if len(c.Values) > 1 {
			c.Values = c.Values[:min(len(c.Values), pageLines)]
			out = append(out, c)
		}
	}
	return out
}

func sorted(set map[string]bool) []string {
	delete(set, "")
	return slices.Sorted(maps.Keys(set))
}
