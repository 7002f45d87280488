// Package sarif holds what "holdfast lint -o sarif" says against the schema of the
// standard, of which a linter's module has a copy.
package sarif

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/require"
)

const linter = "github.com/securego/gosec/v2"

func schema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	out, err := exec.Command("go", "mod", "download", "-json", linter).Output()
	require.NoError(t, err)
	var module struct{ Dir string }
	require.NoError(t, json.Unmarshal(out, &module))
	file, err := os.Open(filepath.Join(module.Dir, "report/sarif/testdata/sarif-schema-2.1.0.json"))
	require.NoError(t, err)
	defer file.Close()
	doc, err := jsonschema.UnmarshalJSON(file)
	require.NoError(t, err)
	c := jsonschema.NewCompiler()
	require.NoError(t, c.AddResource("sarif", doc))
	s, err := c.Compile("sarif")
	require.NoError(t, err)
	return s
}

func TestLintSpeaksSARIF(t *testing.T) {
	t.Parallel()
	want := schema(t)
	require.Error(t, want.Validate(map[string]any{"version": "2.1.0"}), "the schema asks for something")
	holdfast, err := filepath.Abs("../../build/holdfast")
	require.NoError(t, err)
	for name, breaks := range map[string][]string{
		"nothing wrong":            {"README.md", "for people\n"},
		"a line of a file":         {"sites/emea/store-042/site.yaml", "apiVersion: holdfast.dev/v1alpha1\nkind: Site\nspec:\n  profile: none\n"},
		"a file as a whole":        {"fleet.yaml", "\x00"},
		"names that steer":         {"sites/emea/\u202ebad\x1b[2J/site.yaml", "apiVersion: holdfast.dev/v1alpha1\nkind: Site\nspec: {profile: web-shop}\n"},
		"a place with a character": {"profiles/kiosk/addons/page/kustomization.yaml", "resources: [a file with % and ü.yaml]\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			require.NoError(t, os.CopyFS(dir, os.DirFS("../../fleet-example")))
			file := filepath.Join(dir, breaks[0])
			require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o755))
			require.NoError(t, os.WriteFile(file, []byte(breaks[1]), 0o644))
			out, err := exec.Command(holdfast, "lint", "-o", "sarif", dir).Output()
			if exit := new(exec.ExitError); err != nil {
				require.ErrorAs(t, err, &exit)
				require.Equal(t, 1, exit.ExitCode(), string(exit.Stderr))
			}
			said, err := jsonschema.UnmarshalJSON(bytes.NewReader(out))
			require.NoError(t, err, string(out))
			require.NoError(t, want.Validate(said))
		})
	}
}
