package health_test

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-fleet/holdfast/health"
)

func TestExpressions(t *testing.T) {
	t.Parallel()
	lamp := map[string]any{
		"metadata": map[string]any{"generation": int64(2)},
		"status":   map[string]any{"phase": "Lit", "watts": 1.5, "conditions": []any{map[string]any{"type": "Warm", "status": "True"}}},
	}
	for _, tt := range []struct {
		name, text string
		want       bool
		err        string
	}{
		{"a field is compared", `object.status.phase == "Lit"`, true, ""},
		{"another value", `object.status.phase == "Broken"`, false, ""},
		{"a list is searched", `object.status.conditions.exists(c, c.type == "Warm" && c.status == "True")`, true, ""},
		{"a field that is not there is an error", `object.status.observedGeneration == 2`, false, "no such key: observedGeneration"},
		{"unless it is asked for", `object.?status.?observedGeneration.orValue(2) == object.metadata.generation`, true, ""},
		{"texts have functions", `object.status.phase.lowerAscii().startsWith("li")`, true, ""},
		{"what the object shows to be no truth", `object.status.phase`, false, "neither true nor false"},
		{"what costs too much is stopped", `[1,2,3,4,5,6,7,8,9,10].all(a, [1,2,3,4,5,6,7,8,9,10].all(b, [1,2,3,4,5,6,7,8,9,10].all(c,
			[1,2,3,4,5,6,7,8,9,10].all(d, [1,2,3,4,5,6,7,8,9,10].all(e, a + b + c + d + e > 0)))))`, false, "cost limit exceeded"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			e, err := health.Compile(tt.text)
			require.NoError(t, err)
			got, err := e.True(lamp)
			require.Equal(t, tt.want, got)
			if tt.err == "" {
				require.NoError(t, err)
			} else {
				require.ErrorContains(t, err, tt.err)
			}
		})
	}
}

func TestCompileRefuses(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, text, want string }{
		{"a syntax error", `object.status.phase = "Lit"`, "character 21: Syntax error: token recognition error at: '= '"},
		{"an unknown name", `self.status == 1`, "character 1: undeclared reference to 'self'"},
		{"a number", `1 + 1`, "the expression is a int, neither true nor false"},
		{"nothing", ` `, "the expression is empty"},
		{"an end too early", "object.a ==", "character 12: Syntax error: mismatched input '<EOF>'"},
		{"an error in a later line", "true &&\n  size", "line 2, character 3: undeclared reference to 'size'"},
		{"a long text", strings.Repeat(" ", health.MaxText) + "true", "the expression has 2052 bytes, more than 2048"},
		{"deep nesting", strings.Repeat("(", 300) + "true" + strings.Repeat(")", 300), "recursion limit"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := health.Compile(tt.text)
			require.ErrorContains(t, err, tt.want)
			require.NotContains(t, err.Error(), "\n")
		})
	}
}

func FuzzCompile(f *testing.F) {
	f.Fuzz(func(t *testing.T, text string) {
		e, err := health.Compile(text)
		if err != nil {
			require.NotContains(t, err.Error(), "\n")
			return
		}
		_, _ = e.True(map[string]any{"status": map[string]any{"phase": "Lit", "n": int64(1)}, "list": []any{"a", 1.5, nil, true}})
	})
}

func TestFuzzCorpus(t *testing.T) {
	t.Parallel()
	seeds, err := os.ReadDir("testdata/fuzz/FuzzCompile")
	require.NoError(t, err)
	require.NotEmpty(t, seeds)
}
