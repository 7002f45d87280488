package fleet_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-fleet/holdfast/fleet"
)

func TestASetValueLeavesTheRestAsItIs(t *testing.T) {
	t.Parallel()
	pin := map[string]any{"name": "shop", "tag": "v2"}
	for _, tt := range []struct {
		name, before string
		value        any
		path         []string
		after        string
	}{
		{"a scalar", "# top\na: 1 # one\nb:   old   # why\n\nc: 3\n", "new", []string{"b"}, "# top\na: 1 # one\nb:   new   # why\n\nc: 3\n"},
		{"text that looks like a number", "a: x\n", "042", []string{"a"}, "a: \"042\"\n"},
		{"text that looks like a boolean", "a: x\n", "yes", []string{"a"}, "a: \"yes\"\n"},
		{"text of two lines", "a: x\n", "b\nc", []string{"a"}, "a: \"b\\nc\"\n"},
		{"in double quotes", "a: \"x # \\\" y\" # z\n", int64(3), []string{"a"}, "a: 3 # z\n"},
		{"in single quotes", "a: 'it''s' # z\n", true, []string{"a"}, "a: true # z\n"},
		{"behind letters of several bytes", "{ä: ö, \"ü\": x} # é\n", "z", []string{"ü"}, "{ä: ö, \"ü\": z} # é\n"},
		{"deeper", "spec:\n    variables:\n        # first\n        A: 1\n        B: 2\n    labels: {}\n", int64(5), []string{"spec", "variables", "A"},
			"spec:\n    variables:\n        # first\n        A: 5\n        B: 2\n    labels: {}\n"},
		{"a new entry after the last one and before comments of the next", "spec:\n  variables:\n    A: 1 # x\n\n  # of labels\n  labels: {a: b}\n", "z", []string{"spec", "variables", "B"},
			"spec:\n  variables:\n    A: 1 # x\n    B: z\n\n  # of labels\n  labels: {a: b}\n"},
		{"a new entry after one of several lines", "spec:\n  text: |\n    a\n\n    b\n", "z", []string{"spec", "B"}, "spec:\n  text: |\n    a\n\n    b\n  B: z\n"},
		{"a new entry after a list without indentation", "spec:\n  list:\n  - a\n  - b\n", "z", []string{"spec", "B"}, "spec:\n  list:\n  - a\n  - b\n  B: z\n"},
		{"mappings that are missing", "kind: Site\n", "z", []string{"spec", "labels", "a"}, "kind: Site\nspec:\n  labels:\n    a: z\n"},
		{"an empty mapping", "spec: {} # none\n", "z", []string{"spec", "labels", "a"}, "spec: {labels: {a: z}} # none\n"},
		{"nothing", "spec:\nkind: x\n", "z", []string{"spec", "a"}, "spec: {a: z}\nkind: x\n"},
		{"in braces", "spec: {labels: {a: b, c: 'd}'}, x: y} # z\n", "new", []string{"spec", "labels", "e"}, "spec: {labels: {a: b, c: 'd}', e: new}, x: y} # z\n"},
		{"no end of the last line", "a: b", "c", []string{"d"}, "a: b\nd: c\n"},
		{"a mapping for a scalar", "spec:\n  profile: shop # why\n  x: y\n", pin, []string{"spec", "profile"}, "spec:\n  profile: {name: shop, tag: v2} # why\n  x: y\n"},
		{"a mapping for a mapping in braces", "spec:\n  profile: {name: shop, tag: v1} # why\n", pin, []string{"spec", "profile"}, "spec:\n  profile: {name: shop, tag: v2} # why\n"},
		{"a mapping for one of several lines", "spec:\n  profile:\n    name: shop # why\n    tag: v1\n  # of x\n  x: y\n", pin, []string{"spec", "profile"},
			"spec:\n  profile: {name: shop, tag: v2}\n  # of x\n  x: y\n"},
		{"a new entry with Windows line ends", "a: 1\r\n", int64(3), []string{"b"}, "a: 1\r\nb: 3\r\n"},
		{"Windows line ends", "a: 1\r\nb: 2\r\n", int64(3), []string{"a"}, "a: 3\r\nb: 2\r\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := fleet.SetYAML("f.yaml", []byte(tt.before), tt.value, tt.path...)
			require.NoError(t, err)
			require.Equal(t, tt.after, string(got))
		})
	}
}

func TestAnAppendedItemLeavesTheRestAsItIs(t *testing.T) {
	t.Parallel()
	item := map[string]any{"name": "web"}
	for before, after := range map[string]string{
		"spec:\n  layers:\n    - name: a # x\n      wait: true\n  # of variables\n  variables: []\n": "spec:\n  layers:\n    - name: a # x\n      wait: true\n    - name: web\n  # of variables\n  variables: []\n",
		"spec:\n  layers:\n  - name: a\n  x: y\n":                                                    "spec:\n  layers:\n  - name: a\n  - name: web\n  x: y\n",
		"spec:\n  layers: [] # none\n":                                                               "spec:\n  layers: [{name: web}] # none\n",
		"spec: {layers: [{name: a}]}\n":                                                              "spec: {layers: [{name: a}, {name: web}]}\n",
	} {
		got, err := fleet.AppendYAML("f.yaml", []byte(before), item, "spec", "layers")
		require.NoError(t, err, before)
		require.Equal(t, after, string(got))
	}
	_, err := fleet.AppendYAML("f.yaml", []byte("spec: {}\n"), item, "spec", "layers")
	require.ErrorContains(t, err, "f.yaml: it has no spec.layers")
}

func TestWhatCannotBeEditedByLineIsLeftToAPerson(t *testing.T) {
	t.Parallel()
	for _, before := range []string{
		"a: &x 1\nb: *x\n", "a: x\n  y\n", "{a: \"x\n  y\"}\n", "a: *x\n", "? a\n: b\n", "a: 1\n---\nb: 2\n", "[a]\n", "",
		"base: &b {x: 1}\na:\n  <<: *b\n",
	} {
		out, err := fleet.SetYAML("f.yaml", []byte(before), "new", "a")
		if err == nil { // or it is right
			require.Contains(t, string(out), "new")
		}
	}
	_, err := fleet.SetYAML("f.yaml", []byte("a: &x 1\nb: *x\n"), "new", "a")
	require.Error(t, err)
}

// FuzzSetYAML sets a value in any file: what comes out says just that more.
func FuzzSetYAML(f *testing.F) {
	f.Fuzz(func(t *testing.T, data []byte, value string) {
		for _, path := range [][]string{{"a"}, {"spec", "labels", "a"}} {
			out, err := fleet.SetYAML("f.yaml", data, value, path...)
			if err != nil {
				require.NotEmpty(t, fleet.Problems(err))
				continue
			}
			again, err := fleet.SetYAML("f.yaml", out, value, path...)
			if err == nil {
				require.Equal(t, string(out), string(again), "setting it again changes nothing")
			}
		}
	})
}
