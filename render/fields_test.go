package render

import (
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
	"golang.org/x/tools/txtar"
	"sigs.k8s.io/kustomize/api/types"

	"github.com/holdfast-fleet/holdfast/fleet"
)

// notInTheCorpus are the fields that no fleet may use, and why.
var notInTheCorpus = map[string]string{
	"helmCharts.nameTemplate": "refused: a release needs one name",
}

// What is compared with stock kustomize uses every field that a kustomization has in
// the version that is linked, at every depth.
func TestTheCorpusUsesEveryField(t *testing.T) {
	t.Parallel()
	all, used := map[string]bool{}, map[string]bool{}
	fieldsOf(reflect.TypeFor[types.Kustomization](), "", nil, all)
	for _, pattern := range []string{"testdata/stock/*.txtar", "testdata/charts/*.txtar"} {
		files, err := filepath.Glob(pattern)
		require.NoError(t, err)
		require.NotEmpty(t, files)
		for _, file := range files {
			archive, err := txtar.ParseFile(file)
			require.NoError(t, err)
			for _, f := range archive.Files {
				if !slices.Contains(fleet.KustomizationFiles(), filepath.Base(f.Name)) {
					continue
				}
				var doc yaml.Node
				require.NoError(t, yaml.Unmarshal(f.Data, &doc))
				fieldsOf(reflect.TypeFor[types.Kustomization](), "", doc.Content[0], used)
			}
		}
	}
	var missing []string
	for field := range all {
		if !used[field] && notInTheCorpus[field] == "" {
			missing = append(missing, field)
		}
	}
	slices.Sort(missing)
	require.Empty(t, missing, "fields that the corpus does not use")
	for field := range notInTheCorpus {
		require.True(t, all[field], "%s is no field", field)
		require.False(t, used[field], "%s is in the corpus", field)
	}
}

// fieldsOf notes the fields of a type, by their paths: those that n uses, or all if
// that is nil.
func fieldsOf(t reflect.Type, at string, n *yaml.Node, found map[string]bool) {
	switch t.Kind() {
	case reflect.Pointer:
		fieldsOf(t.Elem(), at, n, found)
	case reflect.Slice:
		if n == nil {
			fieldsOf(t.Elem(), at, nil, found)
			return
		}
		for _, item := range n.Content {
			fieldsOf(t.Elem(), at, item, found)
		}
	case reflect.Struct:
		for f := range t.Fields() {
			name, how, _ := strings.Cut(f.Tag.Get("json"), ",")
			if strings.HasPrefix(how, "inline") {
				fieldsOf(f.Type, at, n, found)
			}
			if name == "" || name == "-" {
				continue
			}
			under, value := strings.TrimPrefix(at+"."+name, "."), n
			if n != nil {
				if value = valueOf(n, name); value == nil {
					continue
				}
			}
			found[under] = true
			fieldsOf(f.Type, under, value, found)
		}
	}
}
