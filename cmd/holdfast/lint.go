package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/holdfast-fleet/holdfast/bootstrap"
	"github.com/holdfast-fleet/holdfast/fleet"
	"github.com/holdfast-fleet/holdfast/memo"
	"github.com/holdfast-fleet/holdfast/review"
)

type lintOptions struct {
	output string
	strict bool
}

func newLintCmd() *cobra.Command {
	var opts lintOptions
	cmd := &cobra.Command{
		Use:               "lint [DIR]",
		ValidArgsFunction: completeFolder,
		Short:             "Find everything that is wrong with a fleet",
		Long: `Find everything that is wrong with the fleet in DIR (default: here), in one run:
what does not load or render, with the code that runs on the hosts, and objects that
the Kubernetes of their site would not take, by schemas that are part of the program
and the CustomResourceDefinitions of the site. Nothing is fetched.

Each problem is said on standard error with file, line, a hint, and the rule that is
broken, in brackets; docs/reference/rules.md lists the rules. What hosts take all
the same is a warning. An object with the annotation holdfast.dev/lint: disabled is
rendered, but not checked.

Exit codes: 0 there are no errors, or with --strict no warnings either; 1 there
are; 2 the command line makes no sense.

On standard output json, yaml, sarif (SARIF 2.1.0, for code scanning and editors)
and github (annotations of a workflow) say the same to programs.

What was found out is kept in the folder that HOLDFAST_CACHE names, by default
holdfast in the user's cache folder, to be faster the next time. The folder may be
shared, and deleted at any time; HOLDFAST_CACHE=off keeps nothing.`,
		Example: `  holdfast lint
  holdfast lint --strict -o github                        # in a workflow
  holdfast lint -o sarif > holdfast.sarif
  holdfast lint fleet-example -o json | jq '.problems[] | select(.rule == "schema")'`,
		Args: optionalArgument,
		RunE: func(cmd *cobra.Command, args []string) error {
			dir := "."
			if len(args) == 1 {
				dir = args[0]
			}
			found, err := lint(dir)
			if err != nil {
				return err
			}
			return opts.say(cmd.OutOrStdout(), cmd.ErrOrStderr(), dir, &found)
		},
	}
	addChoice(cmd, "output", "o", choice{&opts.output, "output format", []string{"text", "json", "yaml", "sarif", "github"}})
	cmd.Flags().BoolVar(&opts.strict, "strict", false, "exit with 1 for warnings, too")
	return cmd
}

func lint(dir string) (review.Report, error) {
	if err := isFolder(dir, fleetTip); err != nil {
		return review.Report{}, err
	}
	hurry()
	store := openMemo()
	defer keepFound(store)
	options := review.LintOptions{Options: reviewOptions(store), Now: time.Now(), Needs: driverNeeds}
	return review.Lint(review.State{Name: dir, FS: memo.Dir(dir), Pins: &clonePins{dir: dir}}, options)
}

// reviewOptions are those of lint and of diff.
func reviewOptions(store *memo.Store) review.Options {
	o := review.Options{Worker: renderWorkerCmd, Check: bootstrap.Check, CheckHosts: bootstrap.CheckHosts, CheckBackup: bootstrap.CheckBackup, CheckUpgrade: bootstrap.CheckUpgrade}
	if store != nil {
		o.Memo = store
	}
	return o
}

func driverNeeds(d fleet.Distribution) []string {
	driver, err := bootstrap.For(d.Type)
	if err != nil {
		return nil
	}
	return driver.Needs(d)
}

// say prints a report, and tells by its error whether that is bad.
func (o lintOptions) say(stdout, stderr io.Writer, dir string, found *review.Report) error {
	for _, p := range found.Problems {
		warning := ""
		if p.Severity == review.Warning {
			warning = "warning: "
		}
		fmt.Fprintf(stderr, "holdfast: %s: %s%s [%s]\n", printable(p.Place()), warning, printable(p.Text()), p.Rule)
		if p.Hint != "" {
			fmt.Fprintf(stderr, "hint: %s\n", printable(p.Hint))
		}
	}
	name := found.Fleet
	if name != "" {
		name += ": "
	}
	bad := found.Errors > 0 || o.strict && found.Warnings > 0
	var err error
	switch o.output {
	case "sarif":
		err = found.SARIF(plainJSON{stdout}, inRepository(dir), version)
	case "github":
		err = found.Annotations(stdout, inRepository(dir))
	case "text":
		of := ""
		if found.Errors == 0 { // or else some are not known
			of = fmt.Sprintf("%s, %s, %s: ", counted(found.Profiles, "profile"), counted(found.Sites, "site"), counted(found.Hosts, "host"))
		}
		_, err = fmt.Fprintf(stdout, "%s%s%s\n", name, of, counts(found))
	default:
		err = printAs(stdout, o.output, found)
	}
	if err == nil && bad {
		return exitCode(1)
	}
	return err
}

// counts says how many problems there are.
func counts(r *review.Report) string {
	var parts []string
	if r.Errors > 0 {
		parts = append(parts, counted(r.Errors, "error"))
	}
	if r.Warnings > 0 {
		parts = append(parts, counted(r.Warnings, "warning"))
	}
	if len(parts) == 0 {
		return "no problems"
	}
	return strings.Join(parts, ", ")
}

func counted(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// inRepository is the fleet's folder as seen from where the command runs, which
// in a pipeline is the root of the repository.
func inRepository(dir string) string {
	if here, err := os.Getwd(); err == nil && filepath.IsAbs(dir) {
		if rel, err := filepath.Rel(here, dir); err == nil {
			dir = rel
		}
	}
	if dir = filepath.Clean(dir); dir == "." || !filepath.IsLocal(dir) {
		return ""
	}
	return filepath.ToSlash(dir)
}
