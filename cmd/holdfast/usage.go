package main

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// noArguments, oneArgument and optionalArgument check what a command is given.
func noArguments(cmd *cobra.Command, args []string) error {
	return takes(cmd, "no arguments", args, 0, 0)
}

func oneArgument(cmd *cobra.Command, args []string) error {
	return takes(cmd, "one argument", args, 1, 1)
}

func optionalArgument(cmd *cobra.Command, args []string) error {
	return takes(cmd, "at most one argument", args, 0, 1)
}

func takes(cmd *cobra.Command, what string, args []string, least, most int) error {
	if len(args) >= least && len(args) <= most {
		return nil
	}
	return fmt.Errorf("%s takes %s, not %d", cmd.CommandPath(), what, len(args))
}

// finish makes every error of usage below cmd one that says how the command is
// used, and exits with 2: unknown commands, arguments, required flags.
func finish(cmd *cobra.Command) {
	check := cmd.Args
	if check == nil {
		check = cobra.ArbitraryArgs
	}
	if cmd.HasSubCommands() {
		check = unknownCommand
		cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
	}
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		for _, problem := range []error{check(cmd, args), requiredFlags(cmd), cmd.ValidateFlagGroups()} {
			if problem != nil {
				return badUsage(cmd, problem)
			}
		}
		return nil
	}
	for _, sub := range cmd.Commands() {
		finish(sub)
	}
}

// badUsage says what is wrong with a command line and how the command is used.
func badUsage(cmd *cobra.Command, err error) error {
	if tip := hint(err); tip != "" {
		return usageError{error: err, tip: tip}
	}
	tip := "usage: " + cmd.UseLine() + " (see " + cmd.CommandPath() + " --help)"
	return usageError{error: err, tip: tip}
}

func unknownCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	var names []string
	for _, sub := range cmd.Commands() {
		if sub.IsAvailableCommand() {
			names = append(names, sub.Name())
		}
	}
	return &tipError{
		error: fmt.Errorf("unknown command %q of %s", args[0], cmd.CommandPath()),
		tip:   near(args[0], names, "there is") + " (see " + cmd.CommandPath() + " --help)",
	}
}

func requiredFlags(cmd *cobra.Command) error {
	err := cmd.ValidateRequiredFlags()
	if err == nil {
		return nil
	}
	_, names, _ := strings.Cut(err.Error(), `"`)
	names, _, _ = strings.Cut(names, `" not set`)
	return fmt.Errorf("%s needs --%s", cmd.CommandPath(), strings.ReplaceAll(names, `", "`, " and --"))
}

// near lists the one name that was probably meant, or some that there are.
func near(given string, names []string, there string) string {
	names = slices.Clone(names)
	slices.Sort(names)
	distance := func(name string) int { return min(edits(given, name), edits(path.Base(given), path.Base(name))) }
	slices.SortStableFunc(names, func(a, b string) int { return distance(a) - distance(b) })
	if len(names) > 0 && distance(names[0]) <= 1+len(given)/4 {
		return "did you mean " + names[0] + "?"
	}
	more := ""
	if len(names) > 8 {
		names, more = names[:8], ", …"
	}
	slices.Sort(names)
	return there + " " + strings.Join(names, ", ") + more
}

// edits counts the bytes to insert, delete or replace to make b of a.
func edits(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			diagonal, row[j+1] = row[j+1], min(row[j+1]+1, row[j]+1, diagonal+cost)
		}
	}
	return row[len(b)]
}

// choice is a flag that takes one of a few words.
type choice struct {
	into *string
	what string // for errors: "output format"
	of   []string
}

func (c choice) String() string {
	if c.into == nil {
		return ""
	}
	return *c.into
}

// Type is shown in help texts.
func (c choice) Type() string { return "string" }

// badChoice replaces what the library for flags says of a value.
type badChoice struct{ error }

// Set refuses what is none of the words.
func (c choice) Set(s string) error {
	if !slices.Contains(c.of, s) {
		return badChoice{fmt.Errorf("unknown %s %q: %s", c.what, s, c.words())}
	}
	*c.into = s
	return nil
}

func (c choice) words() string {
	last := len(c.of) - 1
	return strings.Join(c.of[:last], ", ") + " or " + c.of[last]
}

// addChoice adds a flag that takes one of a few words, the first by default.
func addChoice(cmd *cobra.Command, name, short string, c choice) {
	*c.into = c.of[0]
	cmd.Flags().VarP(c, name, short, c.words())
	_ = cmd.RegisterFlagCompletionFunc(name, cobra.FixedCompletions(c.of, cobra.ShellCompDirectiveNoFileComp))
}

func addOutput(cmd *cobra.Command, into *string) {
	addChoice(cmd, "output", "o", choice{into, "output format", []string{"text", "json", "yaml"}})
}

func addFleet(cmd *cobra.Command, into *string) {
	cmd.Flags().StringVar(into, "fleet", ".", "folder of the fleet")
	_ = cmd.MarkFlagDirname("fleet")
}

func addDataDir(cmd *cobra.Command, into *string) {
	cmd.Flags().StringVar(into, "data-dir", defaultDataDir, "where the agent keeps all it has")
	_ = cmd.MarkFlagDirname("data-dir")
}

func addStore(cmd *cobra.Command, into *string) {
	cmd.Flags().StringVar(into, "store", defaultStore, "folder of the content store")
	_ = cmd.MarkFlagDirname("store")
}

const anchorUsage = "file of keys that vouch for the first revision: allowed_signers, or OpenPGP if it ends in .asc"

func addAnchor(cmd *cobra.Command, into *string) {
	cmd.Flags().StringVar(into, "anchor", "", anchorUsage+" (required)")
	_ = cmd.MarkFlagRequired("anchor")
	_ = cmd.MarkFlagFilename("anchor")
}
