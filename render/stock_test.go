package render

import (
	"bytes"
	"errors"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
	"golang.org/x/tools/txtar"
)

// kustomizeProgram is the stock program of the version that this package uses;
// "make kustomize" builds it.
const kustomizeProgram = "../build/kustomize"

// helmProgram is the stock helm of the version that is linked; "make helm" builds it.
const helmProgram = "../build/helm"

func stockHelm(t *testing.T) string {
	t.Helper()
	helm, err := filepath.Abs(helmProgram)
	require.NoError(t, err)
	require.FileExists(t, helm, "run make helm")
	return helm
}

// The corpus has every field of a kustomization, see TestTheCorpusUsesEveryField.
func TestObjectsAreThoseOfStockKustomize(t *testing.T) {
	t.Parallel()
	compareWithStock(t, "testdata/stock", "default")
}

func TestChartsAreThoseOfStockKustomizeAndHelm(t *testing.T) {
	t.Parallel()
	helm := stockHelm(t)
	// As kubectl would be told with -n, and helm by its release.
	compareWithStock(t, "testdata/charts", "shop", "--enable-helm", "--helm-command", helm, "--load-restrictor", "LoadRestrictionsNone")
}

// What helm gives to those who begin a chart has the shape of most charts that there are.
func TestAChartAsHelmCreatesItIsThatOfStock(t *testing.T) {
	t.Parallel()
	helm := stockHelm(t)
	for _, tt := range []struct{ name, values string }{
		{"as it is", "{}"},
		{"with all that it has", "{ingress: {enabled: true, annotations: {a: \"b\"}}, httpRoute: {enabled: true}, autoscaling: {enabled: true}, podAnnotations: {x: \"1\"}, volumes: [{name: v, emptyDir: {}}], nameOverride: other}"},
		{"with variables", "{replicaCount: \"${COUNT}\", image: {tag: \"${TAG}\"}, nodeSelector: {site: \"${SITE}\"}}"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			root := t.TempDir()
			dir := filepath.Join(root, "bases", "corpus")
			require.NoError(t, os.MkdirAll(filepath.Join(dir, "charts"), 0o700))
			create := exec.Command(helm, "create", "demo")
			create.Dir, create.Env = filepath.Join(dir, "charts"), append(os.Environ(), "HOME="+t.TempDir())
			out, err := create.CombinedOutput()
			require.NoError(t, err, string(out))
			require.NoError(t, os.WriteFile(filepath.Join(dir, "kustomization.yaml"), []byte("namespace: shop\nhelmCharts:\n"+
				"  - {name: demo, releaseName: front, kubeVersion: v1.36.3, skipTests: true, valuesInline: "+tt.values+"}\n"), 0o600))
			require.Equal(t, stockTexts(t, stockBuild(t, root, "--enable-helm", "--helm-command", helm), "shop"), textsSorted(buildCorpus(t, root)))
		})
	}
}

func compareWithStock(t *testing.T, dir, namespace string, args ...string) {
	corpus, err := filepath.Glob(filepath.Join(dir, "*.txtar"))
	require.NoError(t, err)
	require.NotEmpty(t, corpus)
	for _, file := range corpus {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			root := unpack(t, file)
			require.Equal(t, stockTexts(t, stockBuild(t, root, args...), namespace), textsSorted(buildCorpus(t, root)))
		})
	}
}

func stockBuild(t *testing.T, root string, args ...string) []byte {
	t.Helper()
	return stockBuildOf(t, filepath.Join(root, "bases", "corpus"), args...)
}

func stockBuildOf(t *testing.T, dir string, args ...string) []byte {
	t.Helper()
	program, err := filepath.Abs(kustomizeProgram)
	require.NoError(t, err)
	require.FileExists(t, program, "run make kustomize")
	stock := exec.Command(program, append([]string{"build", dir}, args...)...)
	stock.Env = append(os.Environ(), "HOME="+t.TempDir())
	var warnings bytes.Buffer
	stock.Stderr = &warnings
	out, err := stock.Output()
	require.NoError(t, err, warnings.String())
	return out
}

// unpack writes an archive into a folder below bases/.
func unpack(t *testing.T, file string) string {
	t.Helper()
	archive, err := txtar.ParseFile(file)
	require.NoError(t, err)
	root := t.TempDir()
	for _, f := range archive.Files {
		name := filepath.Join(root, "bases", "corpus", f.Name)
		require.NoError(t, os.MkdirAll(filepath.Dir(name), 0o700))
		require.NoError(t, os.WriteFile(name, f.Data, 0o600))
	}
	return root
}

func buildCorpus(t *testing.T, root string) []template {
	t.Helper()
	in, err := scanInput("bases/corpus", reach{profile: "profiles/p"}, files{os.DirFS(root), os.DirFS(root), reach{profile: "profiles/p"}, nil})
	require.NoError(t, err)
	j, err := New(nil, Options{}).job(in)
	require.NoError(t, err)
	got, err := j.run()
	require.NoError(t, err)
	return got
}

func stockTexts(t *testing.T, stream []byte, namespace string) []string {
	t.Helper()
	var list []template
	dec := yaml.NewDecoder(bytes.NewReader(stream))
	for {
		var doc yaml.Node
		err := dec.Decode(&doc)
		if errors.Is(err, io.EOF) {
			return textsSorted(list)
		}
		require.NoError(t, err)
		v, err := parsed(&doc)
		require.NoError(t, err)
		meta := v.(map[string]any)["metadata"].(map[string]any)
		if meta["namespace"] == nil {
			annotations, _ := meta["annotations"].(map[string]any)
			all := map[string]any{releaseNamespace: namespace}
			maps.Copy(all, annotations)
			meta["annotations"] = all
		}
		settle(v.(map[string]any))
		o, err := identify(v.(map[string]any), "stock")
		require.NoError(t, err)
		text, err := canonical(o.value)
		require.NoError(t, err)
		list = append(list, template{Text: text})
	}
}

func textsSorted(list []template) []string {
	var texts []string
	for _, t := range list {
		texts = append(texts, string(t.Text))
	}
	slices.Sort(texts)
	return texts
}
