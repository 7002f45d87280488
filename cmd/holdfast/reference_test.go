package main

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/stretchr/testify/require"
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
			require.Contains(t, []string{"", usage}, usages[name], "--%s of %s", name, path)
			usages[name] = usage
		}
	})
}
