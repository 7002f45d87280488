package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"

	"github.com/spf13/cobra"

	"github.com/holdfast-fleet/holdfast/gitsource"
)

type heartbeatOptions struct {
	fleet, ref, push string
}

func newHeartbeatCmd() *cobra.Command {
	var opts heartbeatOptions
	cmd := &cobra.Command{
		Use:   "heartbeat",
		Short: "Sign that a branch is the newest of the fleet just now",
		Long: `Sign that a branch is the newest of the fleet just now: a quiet fleet with a
freshness in fleet.yaml is not stale as long as its hosts see this more often.
It moves the signed tag "heartbeat", with the key that git is configured to sign
with, which must be in trust/.`,
		Example: `  holdfast heartbeat --push origin   # daily, by a timer`,
		Args:    noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runHeartbeat(cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr(), opts)
		},
	}
	addFleet(cmd, &opts.fleet)
	cmd.Flags().StringVar(&opts.ref, "ref", "main", "branch to name")
	cmd.Flags().StringVar(&opts.push, "push", "", "remote to push the tag to, such as origin")
	return cmd
}

func runHeartbeat(ctx context.Context, stdout, stderr io.Writer, opts heartbeatOptions) error {
	if err := isFolder(opts.fleet, "name the repository of the fleet"); err != nil {
		return err
	}
	git := func(args ...string) (string, error) {
		cmd := exec.CommandContext(ctx, "git", append([]string{"-C", opts.fleet}, args...)...)
		cmd.Stdin, cmd.Stderr = os.Stdin, stderr
		out, err := cmd.Output()
		if err != nil {
			return "", fmt.Errorf("git %s: %w", args[0], err)
		}
		return strings.TrimSpace(string(out)), nil
	}
	commit, err := git("rev-parse", "--verify", "--end-of-options", opts.ref+"^{commit}")
	if err != nil {
		return err
	}
	const keyTip = "tell git which key to sign with: git config user.signingKey, and gpg.format ssh for an SSH key"
	if _, err := git("tag", "--sign", "--force", "-m", "heartbeat", gitsource.HeartbeatTag, commit); err != nil {
		return &tipError{err, keyTip}
	}
	// Some versions of git make a tag without a signature if they cannot read the key.
	tag, err := git("cat-file", "tag", gitsource.HeartbeatTag)
	if err != nil {
		return err
	}
	if !strings.Contains(tag, "SIGNATURE-----") {
		_, err := git("tag", "--delete", gitsource.HeartbeatTag)
		return errors.Join(&tipError{errors.New("git did not sign the tag"), keyTip}, err)
	}
	if opts.push != "" {
		if _, err := git("push", "--quiet", "--force", opts.push, "refs/tags/"+gitsource.HeartbeatTag); err != nil {
			return err
		}
	}
	_, err = fmt.Fprintf(stdout, "%.12s is the newest of %s\n", commit, opts.ref)
	return err
}
