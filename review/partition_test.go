package review_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-fleet/holdfast/fleet"
	"github.com/holdfast-fleet/holdfast/render"
	"github.com/holdfast-fleet/holdfast/review"
)

const api = "apiVersion: holdfast.dev/v1alpha1\nkind: "

// randomFleet is one of a few profiles, groups, sites and hosts, by chance.
type randomFleet struct {
	*rand.Rand
	files map[string]string
	keys  int
}

func newRandomFleet(seed uint64) *randomFleet {
	f := &randomFleet{Rand: rand.New(rand.NewPCG(seed, 1)), files: map[string]string{}}
	f.files["fleet.yaml"] = api + "Fleet\nmetadata: {name: random}\n"
	f.files["bases/note/kustomization.yaml"] = "resources: [note.yaml]\n"
	f.files["bases/note/note.yaml"] = configMap("note", "${TEXT}")
	for p := range 3 {
		f.profile(p)
	}
	for g := range 3 {
		f.files[fmt.Sprintf("sites/g%d/group.yaml", g)] = fmt.Sprintf("%sGroup\nspec:\n  variables: {TEXT: group %d}\n", api, g)
		for s := range 1 + f.IntN(4) {
			f.site(fmt.Sprintf("sites/g%d/s%d%d/", g, g, s))
		}
	}
	return f
}

func configMap(name, text string) string {
	return fmt.Sprintf("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: %s, namespace: default}\ndata: {text: %q}\n", name, text)
}

func (f *randomFleet) profile(n int) {
	dir := fmt.Sprintf("profiles/p%d/", n)
	f.files[dir+"profile.yaml"] = api + "Profile\nspec:\n  variables: [{name: TEXT, type: string, default: none}, {name: PATCH, type: integer, default: 3}]\n  layers: [{name: l0}, {name: l1}]\n"
	f.files[dir+"distribution/kustomization.yaml"] = "resources: [d.yaml]\n"
	f.files[dir+"distribution/d.yaml"] = api + "Distribution\nmetadata: {name: d}\nspec: {type: embedded, version: \"v1.36.${PATCH}\"}\n"
	for l := range 3 { // the last one is not used yet
		layer := fmt.Sprintf("%saddons/l%d/", dir, l)
		resources := []string{"a.yaml", "b.yaml"}
		if f.IntN(2) == 0 && l == 0 {
			resources = append(resources, "../../../../bases/note")
		}
		f.files[layer+"kustomization.yaml"] = fmt.Sprintf("resources: [%s]\n", strings.Join(resources, ", "))
		f.files[layer+"a.yaml"] = configMap(fmt.Sprintf("a%d", l), fmt.Sprintf("of %d", n))
		f.files[layer+"b.yaml"] = configMap(fmt.Sprintf("b%d", l), "${TEXT}")
	}
}

func (f *randomFleet) site(dir string) {
	f.files[dir+"site.yaml"] = fmt.Sprintf("%sSite\nspec:\n  profile: p%d\n", api, f.IntN(3))
	for h := range []int{0, 1, 1, 2, 3}[f.IntN(5)] {
		f.host(dir, h)
	}
}

func (f *randomFleet) host(dir string, n int) {
	role := "worker"
	if n == 0 {
		role = "control-plane"
	}
	f.keys++
	key := "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIA" + fmt.Sprintf("%042d", f.keys*4)
	name := strings.Split(strings.TrimSuffix(dir, "/"), "/")
	f.files[fmt.Sprintf("%shosts/%s-%c.yaml", dir, name[len(name)-1], 'a'+n)] = fmt.Sprintf("%sHost\nspec:\n  identity: %s\n  role: %s\n  network: {address: 10.0.%d.%d}\n", api, key, role, f.keys/200, 1+f.keys%200)
}

func (f *randomFleet) some(prefix, suffix string) string {
	var names []string
	for _, name := range slices.Sorted(maps.Keys(f.files)) {
		if strings.HasPrefix(name, prefix) && strings.HasSuffix(name, suffix) {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return "README" // which nobody reads
	}
	return names[f.IntN(len(names))]
}

// edit does one thing that people do.
func (f *randomFleet) edit() {
	text := fmt.Sprintf("edit %d", f.IntN(1000))
	switch site := strings.TrimSuffix(f.some("sites/", "/site.yaml"), "site.yaml"); f.IntN(12) {
	case 0:
		f.files["bases/note/note.yaml"] = configMap("note", text+" ${TEXT}")
	case 1:
		f.files[f.some("profiles/", "a.yaml")] = configMap("a0", text)
	case 2:
		f.files[f.some("sites/", "group.yaml")] = api + "Group\nspec:\n  variables: {TEXT: " + text + "}\n"
	case 3:
		f.files[site+"site.yaml"] += "  variables: {TEXT: " + text + "}\n"
	case 4:
		f.files[site+"site.yaml"] += "  variables: {PATCH: 9}\n"
	case 5:
		f.files[site+"site.yaml"] = fmt.Sprintf("%sSite\nspec:\n  profile: p%d\n", api, f.IntN(3))
	case 6:
		maps.DeleteFunc(f.files, func(name, _ string) bool { return strings.HasPrefix(name, site) })
	case 7:
		f.site(fmt.Sprintf("sites/g%d/new%d/", f.IntN(3), f.IntN(100)))
	case 8:
		host := f.some("sites/", "-a.yaml")
		f.files[host] += "  state: removed\n"
	case 9:
		delete(f.files, f.some("sites/", "-a.yaml"))
	case 10:
		profile := f.some("profiles/", "profile.yaml")
		f.files[profile] = strings.Replace(f.files[profile], "{name: l1}", "{name: l2}", 1)
	case 11:
		f.files[site+"addons/l1/kustomization.yaml"] = "resources: [own.yaml]\n"
		f.files[site+"addons/l1/own.yaml"] = configMap("own", text)
	}
}

func (f *randomFleet) fs() fstest.MapFS {
	out := fstest.MapFS{}
	for name, text := range f.files {
		out[name] = &fstest.MapFile{Data: []byte(text)}
	}
	return out
}

// world is what all hosts are to run.
type world struct {
	sites map[string]map[string]string // texts by what a change of them is called
	hosts map[string]machine
}

type machine struct {
	site, own string
	active    bool
}

// worldOf renders a fleet; nil if that does not go.
func worldOf(t *testing.T, fsys fstest.MapFS) *world {
	f, err := fleet.Load(fsys)
	if err != nil {
		return nil
	}
	r := render.New(fsys, render.Options{})
	defer r.Close()
	w := &world{map[string]map[string]string{}, map[string]machine{}}
	for _, site := range f.Sites {
		cluster, err := r.Site(site)
		if err != nil {
			return nil
		}
		node, err := r.Node(site)
		require.NoError(t, err)
		of := map[string]string{"profile": site.Profile.Name, "distribution": node.Digest}
		for _, l := range cluster.Layers {
			of["layer "+l.Name] = "there"
			for _, raw := range l.Objects {
				var o struct {
					Kind     string
					Metadata struct{ Name, Namespace string }
				}
				require.NoError(t, json.Unmarshal(raw, &o))
				of[fmt.Sprintf("%s %s/%s", o.Kind, o.Metadata.Namespace, o.Metadata.Name)] = l.Name + string(raw)
			}
		}
		w.sites[site.Name] = of
		for _, h := range site.Hosts {
			w.hosts[h.Name] = machine{site.Name, fmt.Sprint(h.Identity, h.Role, h.State), h.State == fleet.Active}
		}
	}
	return w
}

// changes lists what changes for a host.
func changes(host string, before, after *world) (list []string) {
	was, had := before.hosts[host]
	is, has := after.hosts[host]
	site := is.site
	if !has {
		site = was.site
	}
	old, current := before.sites[site], after.sites[site]
	switch {
	case current == nil && was.active, old == nil && is.active:
		return []string{"site"}
	case current == nil, old == nil:
		return nil
	}
	for name := range union(old, current) {
		if old[name] != current[name] && is.active {
			list = append(list, name)
		}
	}
	if had != has && (has || was.active) || had && has && was.own != is.own {
		list = append(list, "host")
	}
	slices.Sort(list)
	return list
}

func union[T any](a, b map[string]T) map[string]T {
	out := maps.Clone(a)
	maps.Copy(out, b)
	return out
}

// TestEachChangeOfAHostIsInOneGroup compares, for random fleets and edits, what the
// groups say of each host with what that host renders before and after.
func TestEachChangeOfAHostIsInOneGroup(t *testing.T) {
	t.Parallel()
	tried, all := 0, 0
	for seed := range uint64(90) {
		f := newRandomFleet(seed)
		base := f.fs()
		for range 1 + f.IntN(5) {
			f.edit()
		}
		head := f.fs()
		before, after := worldOf(t, base), worldOf(t, head)
		if before == nil || after == nil {
			continue // the edits do not fit each other
		}
		tried++
		var paths []string
		for name := range union(base, head) {
			if base[name] == nil || head[name] == nil || string(base[name].Data) != string(head[name].Data) {
				paths = append(paths, name)
			}
		}
		c, err := review.Diff(review.State{Name: "base", FS: base}, review.State{Name: "head", FS: head}, paths, review.Options{})
		require.NoError(t, err, "seed %d", seed)
		said := map[string][]string{}
		for _, g := range c.Groups {
			for _, h := range g.Hosts {
				said[h] = append(said[h], g.Object)
			}
		}
		hosts := 0
		for name := range union(before.hosts, after.hosts) {
			slices.Sort(said[name])
			want := changes(name, before, after)
			require.Equal(t, want, said[name], "seed %d: host %s", seed, name)
			if all += len(want); len(want) > 0 {
				hosts++
			}
			delete(said, name)
		}
		require.Empty(t, said, "seed %d: hosts that nobody has", seed)
		require.Equal(t, hosts, c.Hosts, "seed %d", seed)
	}
	t.Logf("%d fleets, %d changes of hosts", tried, all)
	require.Greater(t, tried, 45)
	require.Greater(t, all, 600)
}
