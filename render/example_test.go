package render

import (
	"encoding/json"
	"flag"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/require"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/kustomize/kyaml/filesys"

	"github.com/holdfast-fleet/holdfast/fleet"
)

var update = flag.Bool("update", false, "write the golden files")

const example = "../fleet-example"

func TestExampleIsGolden(t *testing.T) {
	t.Parallel()
	fsys := os.DirFS(example)
	for _, s := range load(t, fsys).Sites {
		t.Run(s.Name, func(t *testing.T) {
			t.Parallel()
			host := &fleet.Host{Name: s.Name + "-a", Site: s}
			got, err := Host(fsys, host)
			require.NoError(t, err)
			text, err := got.YAML()
			require.NoError(t, err)
			golden := filepath.Join("testdata", s.Name+".yaml")
			if *update {
				require.NoError(t, os.WriteFile(golden, text, 0o644))
			}
			want, err := os.ReadFile(golden)
			require.NoError(t, err)
			require.Equal(t, string(want), string(text), "run the test with -update if this is meant")
			require.Equal(t, map[string]string{"holdfast.dev/example/web:1.0.0": ""}, got.Cluster.Images)
		})
	}
}

func TestExampleHasNoProblems(t *testing.T) {
	t.Parallel()
	fsys := os.DirFS(example)
	require.NoError(t, All(fsys, load(t, fsys)))
}

func TestExampleBuildsWithStockKustomize(t *testing.T) {
	t.Parallel()
	options := krusty.MakeDefaultOptions()
	options.PluginConfig.HelmConfig = types.HelmConfig{Enabled: true, Command: stockHelm(t)}
	built := 0
	require.NoError(t, filepath.WalkDir(example, func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.Name() != "kustomization.yaml" {
			return err
		}
		kustomize.Lock()
		defer kustomize.Unlock()
		m, err := krusty.MakeKustomizer(options).Run(filesys.MakeFsOnDisk(), filepath.Dir(name))
		require.NoError(t, err, name)
		require.NotZero(t, m.Size(), name)
		built++
		return nil
	}))
	require.Equal(t, 9, built)
}

// shuffled lists folders backwards and dates files at random.
type shuffled struct{ fs.FS }

func (s shuffled) ReadDir(name string) ([]fs.DirEntry, error) {
	entries, err := fs.ReadDir(s.FS, name)
	for i, j := 0, len(entries)-1; i < j; i, j = i+1, j-1 {
		entries[i], entries[j] = entries[j], entries[i]
	}
	return entries, err
}

func TestSameInputSameBytes(t *testing.T) {
	t.Parallel()
	render := func(fsys fs.FS) string {
		var out []Cluster
		for _, s := range load(t, fsys).Sites {
			c, err := Site(fsys, s)
			require.NoError(t, err)
			out = append(out, c)
		}
		data, err := json.Marshal(out)
		require.NoError(t, err)
		return string(data)
	}
	disk := os.DirFS(example)
	want := render(disk)

	mem := fstest.MapFS{}
	require.NoError(t, fs.WalkDir(disk, ".", func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		data, err := fs.ReadFile(disk, name)
		if path.Base(name) == "kustomization.yaml" {
			data = []byte(reversed(string(data)))
		}
		mem[name] = &fstest.MapFile{Data: data, Mode: 0o755, ModTime: time.Unix(int64(len(mem))*1e6, 0)}
		return err
	}))
	for range 3 {
		require.Equal(t, want, render(disk))
		require.Equal(t, want, render(mem), "other times, modes and order of resources")
		require.Equal(t, want, render(shuffled{mem}), "another order of folders")
	}
}

// reversed turns the list of resources around.
func reversed(kustomization string) string {
	lines := strings.SplitAfter(kustomization, "\n")
	start := 0
	for i, line := range lines {
		if line == "resources:\n" {
			start = i + 1
		}
	}
	end := start
	for end < len(lines) && strings.HasPrefix(lines[end], "  - ") {
		end++
	}
	for i, j := start, end-1; i < j; i, j = i+1, j-1 {
		lines[i], lines[j] = lines[j], lines[i]
	}
	return strings.Join(lines, "")
}

func TestHostInputsStayInTheNode(t *testing.T) {
	t.Parallel()
	fsys := edited(nil)
	f := load(t, fsys)
	one, err := Host(fsys, f.Sites[0].Hosts[0])
	require.NoError(t, err)
	other, err := Host(fsys, &fleet.Host{Name: "other", Site: f.Sites[0], Role: fleet.Worker})
	require.NoError(t, err)
	require.Equal(t, one.Cluster, other.Cluster)
	cluster, err := Site(fsys, f.Sites[0])
	require.NoError(t, err)
	require.Equal(t, one.Cluster, cluster)
}

func TestAnUnrelatedCommitKeepsDigests(t *testing.T) {
	t.Parallel()
	before, err := site(t, edited(nil), "s1")
	require.NoError(t, err)
	after, err := site(t, edited(map[string]string{"sites/s2/site.yaml": head + "Site\nspec: {profile: p, variables: {TEXT: x}}\n", "README.md": "x"}), "s1")
	require.NoError(t, err)
	require.Equal(t, before.Digest, after.Digest)
	after, err = site(t, edited(map[string]string{"profiles/p/addons/web/one.yaml": strings.Replace(configMap, "hello", "bye", 1)}), "s1")
	require.NoError(t, err)
	require.NotEqual(t, before.Layers[0].Digest, after.Layers[0].Digest)
	require.NotEqual(t, before.Digest, after.Digest)
}

func BenchmarkHost(b *testing.B) {
	fsys := os.DirFS(example)
	s := load(b, fsys).Sites[2]
	b.ReportAllocs()
	for b.Loop() {
		_, err := Host(fsys, s.Hosts[0])
		require.NoError(b, err)
	}
}
