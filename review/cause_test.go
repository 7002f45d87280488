package review_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-fleet/holdfast/gitsource/gitsourcetest"
	"github.com/holdfast-fleet/holdfast/review"
)

func TestEachChangeSaysWhichFilesExplainIt(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		change func(e *example)
		want   map[string][]string // of an object, files and variables
	}{
		{"a base and a site's variable, and nothing that has to do with other kinds", func(e *example) {
			e.edit(web, "web:1.0.0", "web:1.0.1")
			e.edit("bases/web/service.yaml", "port: 80", "port: 81")
			e.edit(store43+"site.yaml", "Bonjour: entrez !", "Hallo")
			e.edit(store43+"site.yaml", `"043"`, `"0043"`)
		}, map[string][]string{
			"Deployment kiosk/web": {web},
			"Service kiosk/web":    {"bases/web/service.yaml"},
			"Deployment shop/web":  {web, "sites/emea/store-043/site.yaml GREETING STORE_ID"},
			"Service shop/web":     {"bases/web/service.yaml"},
			"Namespace shop":       {"sites/emea/store-043/site.yaml STORE_ID"},
		}},
		{"a group's variable", func(e *example) { e.edit("sites/emea/group.yaml", "NTP: 10.", "NTP: 11.") },
			map[string][]string{"Deployment shop/web": {"sites/emea/group.yaml NTP"}}},
		{"a default", func(e *example) { e.edit("profiles/web-shop/profile.yaml", "default: EUR", "default: CHF") },
			map[string][]string{"PriceList shop/standard": {"profiles/web-shop/profile.yaml CURRENCY"}}},
		{"a file that an object is generated from, and what names the object", func(e *example) { e.edit(shop+"page.txt", "\n", "!\n") },
			map[string][]string{"ConfigMap shop/web-text-*": {shop + "page.txt"}, "Deployment shop/web": {shop + "page.txt"}}},
		{"a digest", func(e *example) {
			e.repo.Write("profiles/kiosk/content.lock", "apiVersion: holdfast.dev/v1alpha1\nkind: ContentLock\nspec:\n  images:\n    holdfast.dev/example/web:1.0.0: sha256:"+strings.Repeat("0", 64)+"\n")
		}, map[string][]string{"Deployment kiosk/web": {"profiles/kiosk/content.lock"}}},
		{"a setting of a layer", func(e *example) { e.edit("profiles/web-shop/profile.yaml", "timeout: 2m", "timeout: 3m") },
			map[string][]string{"layer shop": {"profiles/web-shop/profile.yaml"}}},
		{"a site's distribution", func(e *example) { e.edit(node, "v1.36.3", "v1.36.4") }, map[string][]string{"distribution": {node}}},
		{"a host", func(e *example) { e.edit(store43+"hosts/store-043-a.yaml", "state: active", "state: removed") },
			map[string][]string{"host": {store43 + "hosts/store-043-a.yaml"}}},
		{"a move to another group", func(e *example) {
			e.repo.Write("sites/apac/group.yaml", "apiVersion: holdfast.dev/v1alpha1\nkind: Group\nmetadata: {name: apac}\nspec:\n  variables: {NTP: 10.20.0.123}\n")
			e.base = e.repo.Commit(gitsourcetest.Commit{})
			e.repo.Git("mv", "sites/emea/store-043", "sites/apac/store-043")
		}, map[string][]string{"Deployment shop/web": {"sites/apac/group.yaml NTP", "sites/emea/group.yaml NTP"}}},
		{"a move out of a group, whose setting it had", func(e *example) {
			e.edit("sites/emea/group.yaml", "spec:", "spec:\n  maintenance: {windows: [{start: \"22:00\", end: \"04:00\"}]}")
			e.base = e.repo.Commit(gitsourcetest.Commit{})
			e.repo.Git("mv", "sites/emea/store-043", "sites/apac/store-043")
			e.edit("sites/apac/store-043/addons/shop/page.txt", "\n", "!\n")
		}, map[string][]string{
			"site":                      {"sites/emea/group.yaml"},
			"ConfigMap shop/web-text-*": {"sites/apac/store-043/addons/shop/page.txt", "sites/emea/store-043/addons/shop/page.txt"},
			"Deployment shop/web":       {"sites/apac/store-043/addons/shop/page.txt", "sites/emea/group.yaml NTP", "sites/emea/store-043/addons/shop/page.txt"},
		}},
		{"a site", func(e *example) { e.repo.Git("rm", "-rq", store43) }, map[string][]string{"site": {store43 + "site.yaml"}}},
		{"another profile", func(e *example) {
			e.edit("sites/apac/kiosk-001/site.yaml", "profile: kiosk", "profile: web-shop")
			e.edit("sites/apac/kiosk-001/site.yaml", "KIOSK_ID", "STORE_ID")
		}, map[string][]string{"profile": {"sites/apac/kiosk-001/site.yaml"}, "Namespace kiosk": {"sites/apac/kiosk-001/site.yaml"}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			e := newExample(t)
			tt.change(e)
			c := e.diff(e.base, e.repo.Commit(gitsourcetest.Commit{}))
			got := map[string][]string{}
			for _, g := range c.Groups {
				name := g.Object
				if before, _, ok := strings.Cut(name, "web-text-"); ok {
					name = before + "web-text-*"
				}
				files := []string{}
				for _, cause := range g.Causes {
					files = append(files, strings.Join(append([]string{cause.File}, cause.Variables...), " "))
				}
				if len(files) >= len(got[name]) { // where most is to be said
					got[name] = files
				}
			}
			for object, files := range tt.want {
				require.Equal(t, files, got[object], "%s of %v", object, got)
			}
			if tt.name != "another profile" {
				require.Len(t, got, len(tt.want), "%v", got)
			}
		})
	}
}

func TestACauseSaysAtHowManySitesItIsOne(t *testing.T) {
	t.Parallel()
	e := newExample(t)
	e.edit("sites/emea/store-043/site.yaml", "GREETING: \"Bonjour: entrez !\"", "GREETING: Hallo")
	e.edit("sites/emea/store-042/site.yaml", "STORE_ID: \"042\"", "STORE_ID: \"0042\"")
	e.edit(web, "web:1.0.0", "web:1.0.1")
	for _, g := range e.diff(e.base, e.repo.Commit(gitsourcetest.Commit{})).Groups {
		for _, cause := range g.Causes {
			require.LessOrEqual(t, cause.Sites, len(g.Sites))
			require.Equal(t, strings.HasPrefix(cause.File, "sites/"), len(cause.Variables) > 0)
		}
	}
	require.Equal(t, review.Cause{File: web, Sites: 1}, e.diff(e.base, "HEAD").Groups[0].Causes[0])
}
