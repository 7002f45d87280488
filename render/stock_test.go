package render

import (
	"bytes"
	"errors"
	"io"
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

// The corpus has every field of a kustomization that a fleet may use.
func TestObjectsAreThoseOfStockKustomize(t *testing.T) {
	t.Parallel()
	program, err := filepath.Abs(kustomizeProgram)
	require.NoError(t, err)
	require.FileExists(t, program, "run make kustomize")
	corpus, err := filepath.Glob("testdata/stock/*.txtar")
	require.NoError(t, err)
	require.NotEmpty(t, corpus)
	for _, file := range corpus {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			archive, err := txtar.ParseFile(file)
			require.NoError(t, err)
			root := t.TempDir()
			for _, f := range archive.Files {
				name := filepath.Join(root, "bases", "corpus", f.Name)
				require.NoError(t, os.MkdirAll(filepath.Dir(name), 0o700))
				require.NoError(t, os.WriteFile(name, f.Data, 0o600))
			}
			stock := exec.Command(program, "build", filepath.Join(root, "bases", "corpus"))
			var warnings bytes.Buffer
			stock.Stderr = &warnings
			out, err := stock.Output()
			require.NoError(t, err, warnings.String())
			in, err := scanInput("bases/corpus", reach{profile: "profiles/p"}, files{os.DirFS(root), os.DirFS(root), reach{profile: "profiles/p"}})
			require.NoError(t, err)
			got, err := in.job().run()
			require.NoError(t, err)
			require.Equal(t, stockTexts(t, out), textsSorted(got))
		})
	}
}

func stockTexts(t *testing.T, stream []byte) []string {
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
		o, err := newObject(doc.Content[0], "stock")
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
