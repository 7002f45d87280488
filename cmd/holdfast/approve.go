package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"

	"github.com/spf13/cobra"

	"github.com/holdfast-fleet/holdfast/gitsource"
	"github.com/holdfast-fleet/holdfast/trust"
)

type approveOptions struct {
	fleet, push string
}

func newApproveCmd() *cobra.Command {
	var opts approveOptions
	cmd := &cobra.Command{
		Use:   "approve [COMMIT | BASE..HEAD | TAG]",
		Short: "Approve a commit, a pull request or a release, by a signed tag",
		Long: `Approve a commit (default: HEAD), each commit after BASE up to HEAD, the head of a
pull request, or a release: make a signed tag approve/… with git, and with the key
that git is set up to sign with ("git config user.signingkey"). It counts once it
is where the hosts get the fleet from: push it, or let --push do so.`,
		Example: `  holdfast approve --push origin             # the pull request that is checked out
  holdfast approve v1.4 --push origin        # a release that somebody else signed`,
		Args: optionalArgument,
		RunE: func(cmd *cobra.Command, args []string) error {
			return runApprove(cmd.Context(), cmd.OutOrStdout(), headOr(args), opts)
		},
	}
	addFleet(cmd, &opts.fleet)
	cmd.Flags().StringVar(&opts.push, "push", "", "push the tags to this remote of git")
	return cmd
}

func runApprove(ctx context.Context, w io.Writer, what string, opts approveOptions) error {
	audit, err := openAudit(auditOptions{fleet: opts.fleet})
	if err != nil {
		return err
	}
	git := clone(opts.fleet)
	mail, err := git.run(ctx, "config", "user.email")
	if err != nil {
		return &tipError{errors.New("git does not know who you are"), "git config user.email you@example.com"}
	}
	tags, err := approvals(ctx, audit, git, what)
	if err != nil {
		return err
	}
	var refs []string
	for _, t := range tags {
		t.name += "/" + mail
		if err := git.sign(ctx, t); err != nil {
			return &tipError{fmt.Errorf("make tag %s: %w", t.name, err), signTip}
		}
		refs = append(refs, "refs/tags/"+t.name)
		fmt.Fprintf(w, "%s  %.12s\n", t.name, t.commit)
	}
	if opts.push == "" {
		_, err := fmt.Fprintf(w, "push: git push %s %s\n", "origin", strings.Join(refs, " "))
		return err
	}
	_, err = git.run(ctx, append([]string{"push", "--quiet", opts.push}, refs...)...)
	return err
}

const signTip = "tell git which key to sign with: git config user.signingKey, and gpg.format ssh for an SSH key"

// sign makes a tag, or none: some versions of git make one without a signature if
// they cannot read the key.
func (c clone) sign(ctx context.Context, t approval) error {
	if _, err := c.run(ctx, "tag", "--sign", "-m", "Approve "+t.what, t.name, t.commit); err != nil {
		return err
	}
	raw, err := c.run(ctx, "cat-file", "tag", "refs/tags/"+t.name)
	if err != nil || strings.Contains(raw, "SIGNATURE-----") {
		return err
	}
	_, err = c.run(ctx, "tag", "--delete", t.name)
	return errors.Join(errors.New("git did not sign it"), err)
}

// approval is a tag to be made; its name lacks who approves.
type approval struct{ name, what, commit string }

func approvals(ctx context.Context, audit *gitsource.Audit, git clone, what string) ([]approval, error) {
	if base, head, ok := strings.Cut(what, ".."); ok {
		line, err := audit.Line(base, head)
		if err != nil {
			return nil, err
		}
		var list []approval
		for _, c := range line {
			list = append(list, approval{trust.ApprovalPrefix + c[:12], c, c})
		}
		if len(list) == 0 {
			err = fmt.Errorf("there is no commit in %s", what)
		}
		return list, err
	}
	commit, err := audit.Resolve(what)
	if err != nil {
		return nil, err
	}
	name := trust.ApprovalPrefix + commit[:12]
	if kind, err := git.run(ctx, "cat-file", "-t", "refs/tags/"+what); err == nil && kind == "tag" {
		name = trust.ApprovalPrefix + what // a release: its name is part of what is approved
	}
	return []approval{{name, what, commit}}, nil
}

// clone is a repository in which git itself is run, as it knows the user's keys.
type clone string

func (c clone) run(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "git", args...)
	cmd.Dir, cmd.Stdin = string(c), os.Stdin // for a passphrase
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		if said := strings.TrimSpace(stderr.String()); said != "" {
			err = errors.New(said)
		}
		return "", fmt.Errorf("git %s: %w", args[0], err)
	}
	return strings.TrimSpace(stdout.String()), nil
}
