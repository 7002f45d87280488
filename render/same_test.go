package render

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-fleet/holdfast/fleet"
	"github.com/holdfast-fleet/holdfast/memo"
	"github.com/holdfast-fleet/holdfast/render/chart"
)

const workerArgument = "render-worker"

// The test's own program is the worker: it is started again with one argument.
func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == workerArgument {
		if err := Work(os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func workerCommand() *exec.Cmd { return exec.Command(os.Args[0], workerArgument) }

// clusters renders all sites at once.
func clusters(t *testing.T, r *Renderer, f *fleet.Fleet) []string {
	t.Helper()
	out := make([]string, len(f.Sites))
	require.NoError(t, each(f.Sites, func(i int, site *fleet.Site) error {
		d, err := r.Host(&fleet.Host{Site: site})
		if err != nil {
			return err
		}
		data, err := json.Marshal(d)
		out[i] = string(data)
		return err
	}))
	return out
}

func exampleTree(t *testing.T) *memo.Tree {
	t.Helper()
	return memo.Dir(filepath.Join("..", "fleet-example"))
}

func TestNeitherWorkersNorMemoryChangeAByte(t *testing.T) {
	t.Parallel()
	tree := exampleTree(t)
	f := load(t, tree)
	r := New(tree, Options{})
	defer r.Close()
	want := clusters(t, r, f)
	dir := t.TempDir()
	for _, name := range []string{"workers, nothing remembered", "all remembered", "damaged memory"} {
		store, err := memo.Open(dir, "1", 1<<30)
		require.NoError(t, err)
		o := Options{Memo: store, Worker: workerCommand}
		if name == "damaged memory" {
			o.Memo = harmful{}
		}
		again := New(tree, o)
		require.Equal(t, want, clusters(t, again, f), name)
		again.Close()
		require.NoError(t, store.Close())
	}
}

// Rendering is a function: neither the order of sites, nor how many are asked for at
// once, nor what was rendered before by the same Renderer changes a byte.
func TestNeitherOrderNorCompanyChangesAByte(t *testing.T) {
	t.Parallel()
	tree := exampleTree(t)
	f := load(t, tree)
	want := map[string]string{}
	for _, site := range f.Sites {
		d, err := Site(tree, site)
		require.NoError(t, err)
		want[site.Dir] = objectsOf(d) + d.Digest
	}
	r := New(tree, Options{Worker: workerCommand})
	defer r.Close()
	for seed := range uint64(6) {
		sites := slices.Clone(f.Sites)
		rand.New(rand.NewPCG(seed, 0)).Shuffle(len(sites), func(i, k int) { sites[i], sites[k] = sites[k], sites[i] })
		var wg sync.WaitGroup
		for _, site := range append(sites, sites[:seed%3]...) { // some of them twice
			one := func() {
				if d, err := r.Site(site); err != nil || objectsOf(d)+d.Digest != want[site.Dir] {
					t.Errorf("seed %d: %s: %v", seed, site.Dir, err)
				}
			}
			if seed%2 == 0 {
				wg.Go(one)
			} else {
				one()
			}
		}
		wg.Wait()
	}
}

// harmful remembers what nobody kept.
type harmful struct{}

func (harmful) Get(name string) ([]byte, bool) {
	return []byte(`{"templates": [{"kind": "ConfigMap", "text": {}, "slots": [{"from": 5, "to": 900}]}]}`), name[:5] == "build"
}
func (harmful) Put(string, []byte) {}

// Builds that merge by kustomize's schema run beside others that change it.
func TestBuildsSideBySideHaveTheirOwnSchema(t *testing.T) {
	t.Parallel()
	const patched = "resources: [one.yaml]\npatches: [{path: patch.yaml}]\n"
	pod := func(containers string) []byte {
		return []byte("apiVersion: v1\nkind: Pod\nmetadata: {name: p, namespace: default}\nspec: {containers: [" + containers + "]}\n")
	}
	plain := job{Dir: "a", File: "a/kustomization.yaml", Files: map[string][]byte{"a/kustomization.yaml": []byte(patched),
		"a/one.yaml": pod("{name: main}"), "a/patch.yaml": pod("{name: sidecar}")}}
	trimmed := plain
	trimmed.OpenAPI, trimmed.Files = true, maps.Clone(plain.Files)
	trimmed.Files["a/kustomization.yaml"] = []byte(patched + "openapi: {path: schema.json}\n")
	trimmed.Files["a/schema.json"] = []byte(`{"definitions": {}}`)
	var wg sync.WaitGroup
	for n := range 40 {
		wg.Go(func() {
			j, want := plain, `"containers":[{"name":"sidecar"},{"name":"main"}]`
			if n%5 == 0 {
				j, want = trimmed, `"containers":[{"name":"sidecar"}]`
			}
			list, err := j.run()
			if err != nil || len(list) != 1 || !strings.Contains(string(list[0].Text), want) {
				t.Errorf("%v: %v, not %s", list, err, want)
			}
		})
	}
	wg.Wait()
}

func TestAWorkerTellsTheSameProblems(t *testing.T) {
	t.Parallel()
	r := chart.Release{File: "a/kustomization.yaml", Dir: "a/charts/c", Name: "r", Namespace: "n",
		Files: chart.Files{"Chart.yaml": []byte("apiVersion: v2\nname: c\nversion: 1.0.0\n"), "templates/one.yaml": []byte(`{{ fail "so" }}`)}}
	_, want := r.Render()
	require.Error(t, want)
	w, err := startWorker(workerCommand())
	require.NoError(t, err)
	defer w.end()
	a, err := w.do(r)
	require.NoError(t, err)
	require.Equal(t, messages(want), messages(a.problems()))
}

func TestDigestsAreThoseOfHosts(t *testing.T) {
	t.Parallel()
	tree := exampleTree(t)
	f := load(t, tree)
	store, err := memo.Open(t.TempDir(), "1", 1<<30)
	require.NoError(t, err)
	defer store.Close()
	var first []Digests
	for range 2 {
		r := New(tree, Options{Memo: store})
		got, err := r.Digests(f.Sites)
		require.NoError(t, err)
		for i, site := range f.Sites {
			d, err := Host(tree, &fleet.Host{Site: site})
			require.NoError(t, err)
			require.Equal(t, d.Cluster.Digest, got[i].Cluster)
			require.Equal(t, d.Node.Digest, got[i].Node)
			require.Len(t, got[i].Layers, len(d.Cluster.Layers))
			for n, l := range d.Cluster.Layers {
				require.Equal(t, LayerDigest{l.Name, l.Digest}, got[i].Layers[n])
			}
			require.Equal(t, []string{"holdfast.dev/example/web:1.0.0"}, got[i].Unlocked)
		}
		if first != nil {
			require.Equal(t, first, got)
		}
		first = got
		r.Close()
	}
}

func TestALayersDigestIsThatOfItsJSON(t *testing.T) {
	t.Parallel()
	for _, l := range []Layer{
		{Name: "one", Objects: []json.RawMessage{[]byte(`{"a":[]}`)}},
		{Name: "two", DependsOn: []string{"one"}, Wait: true, Prune: true, Timeout: 7, Objects: []json.RawMessage{[]byte(`{"a":"[]"}`), []byte(`{"b":1}`), []byte(`{}`)}},
	} {
		want, err := digestOf(l)
		require.NoError(t, err)
		got, err := l.digest()
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
}

// What fills in a template and what walks an object's values are two ways to one result.
func TestFillingInIsSubstituting(t *testing.T) {
	t.Parallel()
	v := someVariables("a <b> & \"c\"\nd: e")
	locked := map[string]string{"holdfast.dev/a:1": "sha256:aa", "hello": "sha256:bb"}
	for _, spec := range []string{
		`{}`, `{"a":"${TEXT}","b":"x ${COUNT}","c":"${COUNT}","d":["${OPEN}",{"e":"$${TEXT}"}],"f":1.5,"g":null,"h":18446744073709551615,"i":"<&>"}`,
		`{"template":{"spec":{"containers":[{"name":"${TEXT}","image":"holdfast.dev/a:1","env":[{"name":"N","value":"${COUNT}"}]},{"image":"holdfast.dev/${COUNT}"}],"volumes":[{"image":{"reference":"holdfast.dev/a:1"}}]}}}`,
		`{"replicas":"${COUNT}","paused":"${OPEN}","minReadySeconds":"${UNSETCOUNT:=7}","containers":[{"image":7},{"image":""},"text",{"image":"${COUNT}"}]}`,
	} {
		for _, kind := range []string{"Deployment", "Pod", "Thing", "CustomResourceDefinition"} {
			decoded, err := decode(json.RawMessage(`{"apiVersion":"apps/v1","kind":"` + kind + `","metadata":{"name":"n","namespace":"default","labels":{"l":"${COUNT}"}},"spec":` + spec + `}`))
			require.NoError(t, err)
			o, err := identify(decoded.(map[string]any), "f")
			require.NoError(t, err)
			fast, err := newTemplate(o, true)
			require.NoError(t, err)
			require.False(t, fast.Named)
			walked, err := v.object(o, &built{})
			require.NoError(t, err)
			slow, err := newTemplate(walked, false)
			require.NoError(t, err)
			got, gotImages, err := fast.fill(v, locked)
			require.NoError(t, err)
			want, wantImages, err := slow.fill(v, locked)
			require.NoError(t, err)
			require.Equal(t, string(want), string(got))
			require.Equal(t, wantImages, gotImages)
			plainJSON, err := canonical(walked.value)
			require.NoError(t, err)
			require.Equal(t, string(plainJSON), string(slow.Text))
		}
	}
}

func TestAPinnedProfileIsReadAtItsPin(t *testing.T) {
	t.Parallel()
	head := edited(nil)
	then := edited(map[string]string{web + "one.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: then, namespace: default}\n", "sites/s2/addons/web/kustomization.yaml": "not for the site"})
	f := load(t, head)
	r := New(head, Options{})
	defer r.Close()
	for _, s := range f.Sites {
		pinned := *s.Profile
		pinned.FS = then
		at := *s
		at.Profile = &pinned
		now, err := r.Site(s)
		require.NoError(t, err)
		require.Contains(t, objectsOf(now), `"name":"one`)
		before, err := r.Site(&at)
		require.NoError(t, err)
		require.Contains(t, objectsOf(before), `"name":"then`)
	}
}
