package main

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/stretchr/testify/require"

	"github.com/holdfast-fleet/holdfast/fleet"
)

var update = flag.Bool("update", false, "write the golden files")

// eachCommand calls visit for every command that a user can find.
func eachCommand(cmd *cobra.Command, visit func(*cobra.Command)) {
	visit(cmd)
	for _, sub := range cmd.Commands() {
		if sub.IsAvailableCommand() && sub.Name() != "completion" && sub.Name() != "help" {
			eachCommand(sub, visit)
		}
	}
}

func TestTheReferenceIsUpToDate(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	b.WriteString("# Commands\n\nWritten by `go test ./cmd/holdfast -run TestTheReference -update` from the program itself.\n")
	eachCommand(newRootCmd(), func(cmd *cobra.Command) {
		text := cmd.Long
		if text == "" {
			text = cmd.Short
		}
		fmt.Fprintf(&b, "\n## %s\n\n%s\n\n```\n%s\n```\n", cmd.CommandPath(), text, cmd.UseLine())
		if cmd.Example != "" {
			fmt.Fprintf(&b, "\nExamples:\n\n```\n%s\n```\n", cmd.Example)
		}
		if flags := cmd.LocalFlags().FlagUsages(); flags != "" {
			fmt.Fprintf(&b, "\nFlags:\n\n```\n%s```\n", flags)
		}
	})
	const file = "../../docs/reference/cli.md"
	if *update {
		require.NoError(t, os.MkdirAll("../../docs/reference", 0o755))
		require.NoError(t, os.WriteFile(file, []byte(b.String()), 0o644))
	}
	have, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, string(have), b.String(), "run go test ./cmd/holdfast -run TestTheReference -update")
}

// The page of the rules is made from the rules.
func TestTheReferenceOfRulesIsUpToDate(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	b.WriteString("# Rules of lint\n\n" +
		"`holdfast lint` finds what breaks these rules. Their names never change: programs may go by them. Made from\n" +
		"the rules of the program; do not edit. [How to check a change](../how-to/check-a-change.md) says how to run it.\n")
	for _, part := range []struct {
		title, text string
		warning     bool
	}{
		{"Errors", "Hosts, or the API servers of their sites, refuse what breaks one of these. `holdfast lint` exits with 1.", false},
		{"Warnings", "Hosts take it all the same. `holdfast lint --strict` exits with 1.", true},
	} {
		fmt.Fprintf(&b, "\n## %s\n\n%s\n\n| rule | what it asks for |\n|---|---|\n", part.title, part.text)
		for _, rule := range fleet.Rules() {
			if rule.Warning == part.warning {
				fmt.Fprintf(&b, "| `%s` | %s |\n", rule.Rule, rule.Text)
			}
		}
	}
	const file = "../../docs/reference/rules.md"
	if *update {
		require.NoError(t, os.WriteFile(file, []byte(b.String()), 0o644))
	}
	have, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, string(have), b.String(), "run go test ./cmd/holdfast -run TestTheReference -update")
}

func TestCommandsAreAlike(t *testing.T) {
	t.Parallel()
	usages := map[string]string{}
	eachCommand(newRootCmd(), func(cmd *cobra.Command) {
		path := cmd.CommandPath()
		require.NotEmpty(t, cmd.Short, path)
		require.NotContains(t, cmd.Short, "\n", path)
		require.False(t, strings.HasSuffix(cmd.Short, "."), path)
		require.NotEmpty(t, cmd.Example, path)
		require.Contains(t, cmd.Example, path, "an example")
		for line := range strings.Lines(cmd.Long) {
			require.LessOrEqual(t, len(line), 90, "%s: %s", path, line)
		}
		for _, name := range []string{"output", "fleet", "store", "data-dir"} {
			f := cmd.LocalFlags().Lookup(name)
			if f == nil {
				continue
			}
			usage := f.Shorthand + " " + f.Usage + " " + f.DefValue
			usage = strings.Replace(usage, "text, json, yaml, markdown or html", "text, json or yaml", 1) // comments and pages are of diff alone
			usage = strings.Replace(usage, "text, json, yaml, sarif or github", "text, json or yaml", 1)  // annotations are of lint alone
			usage = strings.Replace(usage, "text or json text", "text, json or yaml text", 1)             // events are lines
			require.Contains(t, []string{"", usage}, usages[name], "--%s of %s", name, path)
			usages[name] = usage
		}
	})
}
