package review_test

import (
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-fleet/holdfast/fleet"
	"github.com/holdfast-fleet/holdfast/gitsource/gitsourcetest"
	"github.com/holdfast-fleet/holdfast/review"
)

func TestWhatAChangeCannotTouchIsNotRendered(t *testing.T) {
	t.Parallel()
	e := newExample(t)
	e.edit(shop+"web.yaml", "${STORE_ID}", "${NOBODY_DECLARES_IT}")
	base := e.repo.Commit(gitsourcetest.Commit{})
	_, err := e.tryDiff(e.base, base, review.Options{})
	require.ErrorContains(t, err, "NOBODY_DECLARES_IT", "what breaks is told")

	e.repo.Write(page+"more.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: more\n  namespace: kiosk\n")
	e.edit(page+"kustomization.yaml", "resources:", "resources:\n  - more.yaml")
	c := e.diff(base, e.repo.Commit(gitsourcetest.Commit{}))
	require.Len(t, c.Groups, 1, "sites that are broken as they were are none of its business")
	require.Equal(t, "ConfigMap kiosk/more", c.Groups[0].Object)

	e.edit(web, "replicas:", "minReadySeconds: 1\n  replicas:")
	_, err = e.tryDiff(base, e.repo.Commit(gitsourcetest.Commit{}), review.Options{})
	require.ErrorContains(t, err, "NOBODY_DECLARES_IT", "until they change")
}

// builds are what kustomize is run for while a diff has nothing that others kept.
type builds struct {
	mu  sync.Mutex
	all map[string]bool
}

func (b *builds) Get(string) ([]byte, bool) { return nil, false }

func (b *builds) Put(key string, _ []byte) {
	if strings.HasPrefix(key, "build ") {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.all[key] = true
	}
}

func TestOnlyWhatAChangeCanTouchIsBuilt(t *testing.T) {
	t.Parallel()
	const (
		platform = "profiles/web-shop/addons/platform/"
		host     = store43 + "hosts/store-043-a.yaml"
		text     = store43 + "addons/shop/page.txt"
	)
	for _, tt := range []struct {
		name   string
		change func(e *example)
		sites  int
		builds int
	}{
		{"a layer: as it was, and as it is", func(e *example) { e.edit(platform+"quota.yaml", `pods: "20"`, `pods: "21"`) }, 2, 2},
		{"a layer that two profiles and an overlay share: those three", func(e *example) { e.edit(web, "replicas:", "minReadySeconds: 1\n  replicas:") }, 3, 6},
		{"a distribution: that alone", func(e *example) { e.edit(node, "10.244.0.0/24", "10.245.0.0/24") }, 2, 2},
		{"an object of another name: the other layers, which must not have it", func(e *example) { e.edit(text, "", "Plus ") }, 1, 6},
		{"where a host is: nothing", func(e *example) {
			e.edit(host, "  state: active", "  state: active\n  network:\n    address: 10.0.0.5")
		}, 1, 0},
		{"how much may be deleted: nothing", func(e *example) { e.edit(store43+"site.yaml", "spec:", "spec:\n  prune:\n    share: 10") }, 1, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			e, built := newExample(t), &builds{all: map[string]bool{}}
			tt.change(e)
			c, err := e.tryDiff(e.base, e.repo.Commit(gitsourcetest.Commit{}), review.Options{Memo: built})
			require.NoError(t, err)
			require.Equal(t, tt.sites, c.Sites)
			require.Len(t, built.all, tt.builds)
		})
	}
}

func TestWhatALayerAddsIsLookedForInOthers(t *testing.T) {
	t.Parallel()
	e := newExample(t)
	e.repo.Write("profiles/web-shop/addons/platform/more.yaml", "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\n")
	e.edit("profiles/web-shop/addons/platform/kustomization.yaml", "  - quota.yaml", "  - quota.yaml\n  - more.yaml")
	_, err := e.tryDiff(e.base, e.repo.Commit(gitsourcetest.Commit{}), review.Options{})
	require.ErrorContains(t, err, "Deployment shop/web is in layer platform and in layer shop")
	for _, p := range fleet.Problems(err) {
		require.Equal(t, fleet.RuleDuplicateObject, p.Rule)
	}
}
