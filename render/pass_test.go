package render

import (
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-fleet/holdfast/memo"
)

// scanned scans what is below root, as that of a profile in bases/p.
func scanned(t *testing.T, root, dir string) *input {
	t.Helper()
	at := reach{profile: "bases/p"}
	in, err := scanInput(dir, at, files{os.DirFS(root), os.DirFS(root), at, &shelf{}})
	require.NoError(t, err)
	return in
}

func writeTree(t *testing.T, root string, texts map[string]string) {
	t.Helper()
	for name, text := range texts {
		require.NoError(t, os.MkdirAll(filepath.Join(root, path.Dir(name)), 0o700))
		require.NoError(t, os.WriteFile(filepath.Join(root, name), []byte(text), 0o600))
	}
}

// What a profile passes on to bases/ is made once, and is what stock kustomize
// makes of the profile's.
func TestWhatIsPassedOnIsThatOfStockKustomize(t *testing.T) {
	t.Parallel()
	corpus, err := filepath.Glob("testdata/stock/*.txtar")
	require.NoError(t, err)
	for _, file := range corpus {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			root := unpack(t, file)
			writeTree(t, root, map[string]string{"bases/p/kustomization.yaml": "resources: [../between]\n", "bases/between/kustomization.yaml": "resources: [../corpus]\n"})
			in := scanned(t, root, "bases/p")
			r := New(nil, Options{})
			defer r.Close()
			j, err := r.job(in)
			require.NoError(t, err)
			list, err := r.run(in, j)
			require.NoError(t, err)
			require.Equal(t, stockTexts(t, stockBuildOf(t, filepath.Join(root, "bases", "p")), "default"), textsSorted(list))
		})
	}
}

func TestWhatIsPassedOn(t *testing.T) {
	t.Parallel()
	const list = "resources: [../b]\n"
	for _, tt := range []struct {
		name, p, b string
		want       string
	}{
		{"a list of one folder", list, "namePrefix: x-\nresources: [one.yaml]\n", "bases/b"},
		{"a list of several", "resources: [../b, ../c]\n", "resources: [one.yaml]\n", "bases/p"},
		{"a list of a file", "resources: [../b/one.yaml]\n", "resources: [one.yaml]\n", "bases/p"},
		{"a list, and a name", list + "nameSuffix: -x\n", "resources: [one.yaml]\n", "bases/p"},
		{"what changes the schema", list, "resources: [one.yaml]\nopenapi: {path: schema.json}\n", "bases/p"},
		{"what annotates where it is at the top", list, "resources: [one.yaml]\nbuildMetadata: [originAnnotations]\n", "bases/p"},
		{"what sorts where it is at the top", list, "resources: [one.yaml]\nsortOptions: {order: fifo}\n", "bases/p"},
		{"a component, which kustomize refuses there", list, "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\nresources: [one.yaml]\n", "bases/p"},
		{"a folder around it, which kustomize refuses", "resources: [..]\n", "resources: [one.yaml]\n", "bases/p"},
		{"what looks like a slip, which kustomize refuses", "resources: [\"../b/c..d/..\"]\n", "resources: [one.yaml]\n", "bases/p"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			root := t.TempDir()
			writeTree(t, root, map[string]string{"bases/p/kustomization.yaml": tt.p, "bases/b/kustomization.yaml": tt.b, "bases/b/one.yaml": configMap,
				"bases/b/schema.json": `{"definitions": {}}`, "bases/c/kustomization.yaml": "resources: [two.yaml]\n",
				"bases/c/two.yaml":         "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: two}\n",
				"bases/kustomization.yaml": "resources: [b]\n"})
			require.Equal(t, tt.want, scanned(t, root, "bases/p").scan.passesOn("bases/p"))
		})
	}
}

// counted counts which files of a tree are opened.
type counted struct {
	*memo.Tree
	mu     sync.Mutex
	opened []string
}

func (c *counted) Open(name string) (fs.File, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.opened = append(c.opened, name)
	return c.Tree.Open(name)
}

func (c *counted) ReadFile(name string) ([]byte, error) { return fs.ReadFile(struct{ fs.FS }{c}, name) }

// What a layer reads from decides whether it is looked through again, not what else
// is in its profile.
func TestALayerIsScannedAgainIfWhatItReadsFromChanges(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	texts := small()
	texts["profiles/p/profile.yaml"] = head + "Profile\nspec:\n  layers: [{name: web}, {name: b}]\n"
	texts["profiles/p/addons/b/kustomization.yaml"] = "resources: [../../../../bases/b]\n"
	writeTree(t, root, texts)
	store, err := memo.Open(t.TempDir(), "1", 1<<30)
	require.NoError(t, err)
	defer store.Close()
	opened := func() []string {
		tree := &counted{Tree: memo.Dir(root)}
		f := load(t, tree)
		tree.opened = nil
		r := New(tree, Options{Memo: store})
		defer r.Close()
		for _, s := range f.Sites {
			_, err := r.Site(s)
			require.NoError(t, err)
		}
		slices.Sort(tree.opened)
		return slices.Compact(tree.opened)
	}
	require.NotEmpty(t, opened())
	require.Empty(t, opened())
	writeTree(t, root, map[string]string{"bases/b/b.yaml": texts["bases/b/b.yaml"] + "spec: {ports: [{port: 80}]}\n", "bases/other/one.yaml": "x"})
	require.Equal(t, []string{"bases/b/b.yaml", "bases/b/kustomization.yaml", "profiles/p/addons/b/kustomization.yaml"}, opened())
	writeTree(t, root, map[string]string{"profiles/p/addons/web/kustomization.yaml": "# anew\nresources: [one.yaml]\n"})
	require.Equal(t, []string{"profiles/p/addons/web/kustomization.yaml", "profiles/p/addons/web/one.yaml", "sites/s2/addons/web/kustomization.yaml"}, opened())
}
