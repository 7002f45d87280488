package fleet_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"regexp"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-fleet/holdfast/fleet"
)

// A rule that is not listed would be in no reference, and no test would break it.
func TestEveryRuleIsListedOnce(t *testing.T) {
	t.Parallel()
	file, err := parser.ParseFile(token.NewFileSet(), "rule.go", nil, 0)
	require.NoError(t, err)
	declared := map[fleet.Rule]bool{}
	ast.Inspect(file, func(n ast.Node) bool {
		if spec, ok := n.(*ast.ValueSpec); ok && len(spec.Values) == 1 {
			name, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
			require.NoError(t, err)
			require.False(t, declared[fleet.Rule(name)], "%s is there twice", name)
			declared[fleet.Rule(name)] = true
		}
		return true
	})
	require.Greater(t, len(declared), 40)
	warnings := false
	for _, rule := range fleet.Rules() {
		require.True(t, declared[rule.Rule], "%s is listed twice, or declared nowhere", rule.Rule)
		delete(declared, rule.Rule)
		require.Regexp(t, regexp.MustCompile(`^[a-z]+(-[a-z]+)*$`), string(rule.Rule))
		require.NotEmpty(t, rule.Text)
		require.Equal(t, rule.Text, rule.Rule.Text())
		require.Equal(t, rule.Warning, rule.Rule.Warning())
		require.False(t, warnings && !rule.Warning, "%s: errors come first", rule.Rule)
		warnings = rule.Warning
	}
	require.Empty(t, declared, "not in Rules")
}
