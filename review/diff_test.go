package review_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"filippo.io/age"
	"github.com/stretchr/testify/require"

	"github.com/holdfast-fleet/holdfast/fleet"
	"github.com/holdfast-fleet/holdfast/gitsource"
	"github.com/holdfast-fleet/holdfast/gitsource/gitsourcetest"
	"github.com/holdfast-fleet/holdfast/render"
	"github.com/holdfast-fleet/holdfast/review"
	"github.com/holdfast-fleet/holdfast/secrets"
)

var update = flag.Bool("update", false, "write the golden files")

// example is a clone of fleet-example.
type example struct {
	t    *testing.T
	repo *gitsourcetest.Repo
	base string
}

func newExample(t *testing.T) *example {
	e := &example{t: t, repo: gitsourcetest.NewRepo(t)}
	require.NoError(t, os.CopyFS(e.repo.Dir, os.DirFS("../fleet-example")))
	e.base = e.repo.Commit(gitsourcetest.Commit{})
	return e
}

// edit replaces text in a file.
func (e *example) edit(file, old, current string) {
	data, err := os.ReadFile(filepath.Join(e.repo.Dir, file))
	require.NoError(e.t, err)
	require.Contains(e.t, string(data), old)
	e.repo.Write(file, strings.Replace(string(data), old, current, 1))
}

func (e *example) tree(commit string) fs.FS {
	audit, err := gitsource.OpenAudit(e.repo.Dir, nil)
	require.NoError(e.t, err)
	fsys, err := audit.Tree(commit)
	require.NoError(e.t, err)
	return fsys
}

func (e *example) load(commit string) *fleet.Fleet {
	f, err := fleet.Load(e.tree(commit))
	require.NoError(e.t, err)
	return f
}

func (e *example) diff(base, head string) review.Changes {
	e.t.Helper()
	c, err := e.tryDiff(base, head, review.Options{})
	require.NoError(e.t, err)
	return c
}

func (e *example) tryDiff(base, head string, o review.Options) (review.Changes, error) {
	e.t.Helper()
	audit, err := gitsource.OpenAudit(e.repo.Dir, nil)
	require.NoError(e.t, err)
	paths, err := audit.Changed(base, head)
	require.NoError(e.t, err)
	return review.Diff(review.State{Name: "base", FS: e.tree(base)}, review.State{Name: "head", FS: e.tree(head)}, paths, o)
}

const (
	web     = "bases/web/deployment.yaml"
	shop    = "profiles/web-shop/addons/shop/"
	node    = "profiles/web-shop/distribution/distribution.yaml"
	page    = "profiles/kiosk/addons/page/"
	store43 = "sites/emea/store-043/"
)

// sealed is a Secret, encrypted.
func sealed(t *testing.T, value string) string {
	t.Helper()
	id, err := age.GenerateX25519Identity()
	require.NoError(t, err)
	data, err := secrets.Encrypt("secret.yaml", []byte("apiVersion: v1\nkind: Secret\nmetadata: {name: db}\nstringData: {password: "+value+"}\n"),
		secrets.Rule{Recipients: []string{id.Recipient().String()}, Selection: secrets.Selection{EncryptedRegex: "^stringData$"}}, time.Now())
	require.NoError(t, err)
	return string(data)
}

func TestEachKindOfChangeIsNamed(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		change func(e *example)
		want   []string // kind, object and sites of the groups
	}{
		{"a base reaches every site that uses it", func(e *example) { e.edit(web, "web:1.0.0", "web:1.0.1") },
			[]string{"change Deployment shop/web: store-042 store-043", "change Deployment kiosk/web: kiosk-001"}},
		{"a variable reaches its site", func(e *example) { e.edit(store43+"site.yaml", "Bonjour: entrez !", "Hallo") },
			[]string{"change Deployment shop/web: store-043"}},
		{"a group's variable reaches the sites below", func(e *example) {
			e.repo.Write("sites/apac/group.yaml", "apiVersion: holdfast.dev/v1alpha1\nkind: Group\nmetadata: {name: apac}\nspec:\n  labels: {x: y}\n")
		}, nil},
		{"a selector is not changed by the API server", func(e *example) {
			e.edit("profiles/kiosk/addons/page/web.yaml", "spec:", "spec:\n  selector: {matchLabels: {x: \"1\"}}")
		}, []string{"recreate Deployment kiosk/web: kiosk-001"}},
		{"a version of Kubernetes", func(e *example) { e.edit(node, "v1.36.3", "v1.36.4") },
			[]string{"distribution distribution: store-043", "distribution distribution: store-042"}},
		{"a suspended site", func(e *example) {
			e.edit(store43+"site.yaml", "spec:", "spec:\n  suspend: {reason: stocktaking, until: 2027-01-07T06:00:00Z}")
		}, []string{"change site: store-043"}},
		{"maintenance windows of all", func(e *example) {
			e.edit("fleet.yaml", "  name: example", "  name: example\nspec:\n  maintenance: {timeZone: Europe/Berlin, windows: [{days: [sunday], start: \"01:00\", end: \"05:00\"}]}")
		}, []string{"change site: kiosk-001 store-042 store-043"}},
		{"a host that is removed", func(e *example) { e.edit(store43+"hosts/store-043-a.yaml", "state: active", "state: removed") },
			[]string{"host-removed host: store-043"}},
		{"a host that is left out", func(e *example) { e.repo.Git("rm", "-q", store43+"hosts/store-043-a.yaml") },
			[]string{"host-vanished host: store-043"}},
		{"a site that is left out", func(e *example) { e.repo.Git("rm", "-rq", store43) }, []string{"site-vanished site: store-043"}},
		{"a site that moves is the same", func(e *example) { e.repo.Git("mv", "sites/apac/kiosk-001", "sites/emea/kiosk-001") }, nil},
		{"a page that nobody reads", func(e *example) { e.repo.Write("README.md", "x") }, nil},
		{"an object that goes", func(e *example) {
			e.edit("profiles/web-shop/addons/platform/kustomization.yaml", "- quota.yaml", "")
		}, []string{"delete ResourceQuota shop/shop: store-042 store-043"}},
		{"an object that moves between layers is not deleted", func(e *example) {
			e.edit("profiles/web-shop/addons/platform/kustomization.yaml", "- quota.yaml", "")
			e.repo.Git("mv", "profiles/web-shop/addons/platform/quota.yaml", shop+"quota.yaml")
			e.edit(shop+"kustomization.yaml", "resources:", "resources:\n  - quota.yaml")
		}, []string{"move ResourceQuota shop/shop: store-042 store-043"}},
		{"a secret that is encrypted anew", func(e *example) {
			e.edit(page+"kustomization.yaml", "resources:", "resources:\n  - secret.yaml")
			e.repo.Write(page+"secret.yaml", sealed(e.t, "one"))
			e.base = e.repo.Commit(gitsourcetest.Commit{})
			e.repo.Write(page+"secret.yaml", sealed(e.t, "two"))
		}, []string{"change Secret kiosk/db: kiosk-001"}},
		{"a secret that one more can open", func(e *example) {
			e.edit(page+"kustomization.yaml", "resources:", "resources:\n  - secret.yaml")
			text := sealed(e.t, "one")
			e.repo.Write(page+"secret.yaml", text)
			e.base = e.repo.Commit(gitsourcetest.Commit{})
			_, key, _ := strings.Cut(text, "    age:\n")
			key, _, _ = strings.Cut(key, "    encrypted_regex")
			e.repo.Write(page+"secret.yaml", strings.Replace(text, key, key+key, 1))
		}, []string{"change secrets of layer page: kiosk-001"}},
		{"a setting of a layer", func(e *example) { e.edit("profiles/web-shop/profile.yaml", "timeout: 2m", "timeout: 3m") },
			[]string{"change layer shop: store-042 store-043"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			e := newExample(t)
			tt.change(e)
			c := e.diff(e.base, e.repo.Commit(gitsourcetest.Commit{}))
			var got []string
			for _, g := range c.Groups {
				got = append(got, string(g.Kind)+" "+g.Object+": "+strings.Join(g.Sites, " "))
			}
			require.Equal(t, tt.want, got)
			require.Equal(t, len(got) == 0, c.Empty())
		})
	}
}

func TestACommitDoesNotDifferFromItself(t *testing.T) {
	t.Parallel()
	e := newExample(t)
	all := []string{"fleet.yaml", web, "sites/emea/group.yaml", "agent.yaml"} // whatever is said to differ
	c, err := review.Diff(review.State{FS: e.tree("HEAD")}, review.State{FS: e.tree("HEAD")}, all, review.Options{})
	require.NoError(t, err)
	require.True(t, c.Empty())
	require.Zero(t, c.Sites)
	require.Zero(t, c.Hosts)
}

// changed is a state of the example with many kinds of changes in it.
func changed(t *testing.T) (*example, string) {
	e := newExample(t)
	e.edit(web, "web:1.0.0", "web:1.0.1")
	e.edit(node, "v1.36.3", "v1.36.4")
	e.edit(store43+"site.yaml", "Bonjour: entrez !", "Hallo")
	e.edit("profiles/web-shop/addons/platform/kustomization.yaml", "- quota.yaml", "- token.yaml")
	e.repo.Write("profiles/web-shop/addons/platform/token.yaml", "apiVersion: v1\nkind: Secret\nmetadata: {name: token}\nstringData: {token: hunter2}\n")
	e.edit("profiles/web-shop/profile.yaml", "    - name: crds\n", "")
	e.edit("profiles/web-shop/profile.yaml", "[crds, shop]", "[shop]")
	return e, e.repo.Commit(gitsourcetest.Commit{})
}

func TestGroupsPartitionTheSites(t *testing.T) {
	t.Parallel()
	e, head := changed(t)
	c := e.diff(e.base, head)
	differ := map[string]bool{}
	digests := func(commit string) map[string]render.Digests {
		f, err := fleet.Load(e.tree(commit))
		require.NoError(t, err)
		r := render.New(e.tree(commit), render.Options{})
		defer r.Close()
		list, err := r.Digests(f.Sites)
		require.NoError(t, err)
		out := map[string]render.Digests{}
		for i, s := range f.Sites {
			out[s.Name] = list[i]
		}
		return out
	}
	old, current := digests(e.base), digests(head)
	for name := range current {
		if old[name].Cluster != current[name].Cluster || old[name].Node != current[name].Node {
			differ[name] = true
		}
	}
	seen, sites := map[string]bool{}, map[string]bool{}
	hosts := map[string][]string{}
	for _, s := range e.load(head).Sites {
		for _, h := range s.Active() {
			hosts[s.Name] = append(hosts[s.Name], h.Name)
		}
	}
	all := map[string]bool{}
	for _, g := range c.Groups {
		require.True(t, slices.IsSorted(g.Sites))
		var theirs []string
		for _, site := range g.Sites {
			key := g.Object + " at " + site
			require.False(t, seen[key], "%s is in two groups", key)
			seen[key], sites[site] = true, true
			theirs = append(theirs, hosts[site]...)
		}
		require.Equal(t, strings.Join(theirs, " "), strings.Join(g.Hosts, " "), "the hosts of its sites, each once")
		for _, h := range g.Hosts {
			all[h] = true
		}
	}
	require.Equal(t, differ, sites, "the sites whose hosts report other digests, and no others")
	require.Equal(t, len(differ), c.Sites)
	require.Equal(t, len(all), c.Hosts)
}

// ownParts are what is the same on every page, and their hashes.
var ownParts = regexp.MustCompile(`(?s)<style>.*?</style>|<script>.*?</script>|'sha256-[^']*'`)

func TestOutputIsAsItWas(t *testing.T) {
	t.Parallel()
	e, head := changed(t)
	c := e.diff(e.base, head)
	c.Approvals = &review.Approval{State: "refused", Reason: "not signed", Needs: []string{"**: 1 of platform"}}
	for name, write := range map[string]func(*bytes.Buffer) error{
		"text":     func(b *bytes.Buffer) error { return c.Text(b, false) },
		"colour":   func(b *bytes.Buffer) error { return c.Text(b, true) },
		"markdown": func(b *bytes.Buffer) error { return c.Markdown(b) },
		"html": func(b *bytes.Buffer) error {
			var page bytes.Buffer
			err := c.HTML(&page)
			b.Write(ownParts.ReplaceAll(page.Bytes(), nil))
			return err
		},
		"json": func(b *bytes.Buffer) error {
			enc := json.NewEncoder(b)
			enc.SetIndent("", "  ")
			return enc.Encode(c)
		},
	} {
		var got bytes.Buffer
		require.NoError(t, write(&got))
		require.NotContains(t, got.String(), "hunter2")
		golden := filepath.Join("testdata", name+".golden")
		if *update {
			require.NoError(t, os.MkdirAll("testdata", 0o755))
			require.NoError(t, os.WriteFile(golden, got.Bytes(), 0o644))
		}
		want, err := os.ReadFile(golden)
		require.NoError(t, err)
		require.Equal(t, string(want), got.String(), name)
	}
}

func TestACommentHasRoom(t *testing.T) {
	t.Parallel()
	c := review.Changes{Base: "a", Head: "b"}
	for range 2000 {
		c.Groups = append(c.Groups, review.Group{Change: review.Change{Kind: review.Modify, Object: "ConfigMap `@all` <b>" + strings.Repeat("x", 500)}, Sites: []string{"a"}})
	}
	c.Warnings = c.Groups
	var out bytes.Buffer
	require.NoError(t, c.Markdown(&out))
	require.LessOrEqual(t, out.Len(), 60_000)
	require.Regexp(t, `\*\*\d+ of 4000 are left out here\*\*`, out.String())
	require.NotContains(t, out.String(), "<b>x")
}
