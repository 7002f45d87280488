package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/holdfast-fleet/holdfast/gitsource"
	"github.com/holdfast-fleet/holdfast/trust"
)

func newTrustCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "trust",
		Short: "See who vouches for what, and to what a host trusts",
		Long: `See who vouches for what. The commands at headquarters read a clone of the fleet
with its tags ("git fetch --tags"), and judge with the code of the hosts.`,
		Example: `  holdfast trust check origin/main..HEAD
  holdfast trust explain 8d1f7f0b9a3c`,
	}
	cmd.AddCommand(newTrustCheckCmd(), newTrustLogCmd(), newTrustShowCmd(), newTrustExplainCmd(), newTrustResetCmd())
	return cmd
}

type auditOptions struct {
	fleet, anchor, output string
	push                  bool
	number                int
}

func addAudit(cmd *cobra.Command, opts *auditOptions) {
	addFleet(cmd, &opts.fleet)
	addOutput(cmd, &opts.output)
	cmd.Flags().StringVar(&opts.anchor, "anchor", "", "file of keys, as for holdfast agent, for fleets without keys in trust/")
	_ = cmd.MarkFlagFilename("anchor")
}

func openAudit(opts auditOptions) (*gitsource.Audit, error) {
	if err := isFolder(opts.fleet, "name the repository of the fleet"); err != nil {
		return nil, err
	}
	var anchor *trust.Keyring
	if opts.anchor != "" {
		var err error
		if anchor, err = readAnchor(opts.anchor); err != nil {
			return nil, err
		}
	}
	return gitsource.OpenAudit(opts.fleet, anchor)
}

func newTrustCheckCmd() *cobra.Command {
	var opts auditOptions
	cmd := &cobra.Command{
		Use:   "check BASE..HEAD",
		Short: "Say who must still approve a pull request",
		Long: `Say who must still approve the pull request of HEAD for BASE, and exit with 1 if
somebody must. What counts are approvals of HEAD (see holdfast approve), as a
forge makes the merge, and maybe signs it with a key that is not the fleet's.

With --push each commit from BASE to HEAD is judged as it stands, with its own
signature: for branches that are pushed without a forge's merge.`,
		Example: `  holdfast trust check origin/main..HEAD
  holdfast trust check --push main..topic -o json`,
		Args: oneArgument,
		RunE: func(cmd *cobra.Command, args []string) error {
			return runTrustCheck(cmd.OutOrStdout(), args[0], opts)
		},
	}
	addAudit(cmd, &opts)
	cmd.Flags().BoolVar(&opts.push, "push", false, "judge each commit as it stands")
	return cmd
}

func runTrustCheck(w io.Writer, commits string, opts auditOptions) error {
	base, head, ok := strings.Cut(commits, "..")
	if !ok || base == "" || head == "" || strings.HasPrefix(head, ".") {
		return usagef("%q is not BASE..HEAD, such as origin/main..HEAD", commits)
	}
	audit, err := openAudit(opts)
	if err != nil {
		return err
	}
	var verdicts []gitsource.Verdict
	if opts.push {
		verdicts, err = audit.Pushed(base, head)
	} else {
		verdicts = make([]gitsource.Verdict, 1)
		verdicts[0], err = audit.Merged(base, head)
	}
	if err != nil {
		return err
	}
	if err := printVerdicts(w, verdicts, opts.output, true); err != nil {
		return err
	}
	for _, v := range verdicts {
		if v.Err != nil && !v.Waits {
			return &tipError{fmt.Errorf("%.12s: %w", v.Commit, v.Err), strings.ReplaceAll(hint(v.Err), "COMMIT", v.Commit[:12])}
		}
	}
	return nil
}

func newTrustLogCmd() *cobra.Command {
	var opts auditOptions
	cmd := &cobra.Command{
		Use:   "log [COMMIT]",
		Short: "List commits with those who vouch for them",
		Long: `List the commits before COMMIT (default: HEAD) on its first-parent line, newest
first: whether hosts accept each, who vouches for it, or why it is refused.`,
		Example: "  holdfast trust log --number 50",
		Args:    optionalArgument,
		RunE: func(cmd *cobra.Command, args []string) error {
			audit, err := openAudit(opts)
			if err != nil {
				return err
			}
			verdicts, err := audit.Log(headOr(args), opts.number)
			if err != nil {
				return err
			}
			return printVerdicts(cmd.OutOrStdout(), verdicts, opts.output, false)
		},
	}
	addAudit(cmd, &opts)
	cmd.Flags().IntVarP(&opts.number, "number", "n", 20, "how many")
	return cmd
}

func headOr(args []string) string {
	if len(args) > 0 {
		return args[0]
	}
	return "HEAD"
}

func newTrustShowCmd() *cobra.Command {
	var opts auditOptions
	cmd := &cobra.Command{
		Use:     "show [COMMIT]",
		Short:   "Show which key vouches for what in a commit",
		Example: "  holdfast trust show main -o json | jq .vouchers",
		Args:    optionalArgument,
		RunE: func(cmd *cobra.Command, args []string) error {
			return runTrustShow(cmd.OutOrStdout(), headOr(args), opts, false)
		},
	}
	addAudit(cmd, &opts)
	return cmd
}

func newTrustExplainCmd() *cobra.Command {
	var opts auditOptions
	cmd := &cobra.Command{
		Use:   "explain [COMMIT]",
		Short: "Say why hosts accept or refuse a commit, and what to do",
		Long: `Say why hosts accept or refuse a commit: every signature and tag that speaks for
it, also those that do not count and why, every path and its rule, and what to do.`,
		Example: "  holdfast trust explain 8d1f7f0b9a3c",
		Args:    optionalArgument,
		RunE: func(cmd *cobra.Command, args []string) error {
			return runTrustShow(cmd.OutOrStdout(), headOr(args), opts, true)
		},
	}
	addAudit(cmd, &opts)
	return cmd
}

func runTrustShow(w io.Writer, name string, opts auditOptions, explain bool) error {
	audit, err := openAudit(opts)
	if err != nil {
		return err
	}
	v, err := audit.Explain(name)
	if err != nil {
		return err
	}
	if opts.output != "text" {
		return printAs(w, opts.output, v)
	}
	printVerdict(w, v, explain)
	return nil
}
