package main

import (
	"encoding/json"
	"errors"
	"io"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"
)

const defaultDataDir = "/var/lib/holdfast"

func newRootCmd() *cobra.Command {
	root := &cobra.Command{
		Use:   "holdfast",
		Short: "Keep a fleet of edge Kubernetes hosts at what a signed Git repository says",
		Long: `Holdfast keeps a fleet of edge Kubernetes hosts at what a signed Git repository
says, with no management server. It is both the agent on every host and the
command line at headquarters.

What is asked for goes to standard output. What is wrong goes to standard error,
as "holdfast: …", with a "hint: …" where somebody can do something about it.

Exit codes: 0 all is done; 1 it cannot be done, or is bad; 2 the command line
makes no sense, and nothing was tried. "diff" is as diff is: 0 nothing changes, 1
something does, 2 everything else.`,
		Example: `  holdfast lint                                  # before a commit
  holdfast register                              # on a new host
  holdfast status                                # on a host, at any time`,
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		var bad badChoice
		if errors.As(err, &bad) {
			err = bad
		}
		return badUsage(cmd, err)
	})
	root.AddGroup(&cobra.Group{ID: "host", Title: "On a host:"}, &cobra.Group{ID: "fleet", Title: "At headquarters:"},
		&cobra.Group{ID: "self", Title: "About this program:"})
	for group, cmds := range map[string][]*cobra.Command{
		"host": {newAgentCmd(), newPreflightCmd(), newStatusCmd(), newEventsCmd(), newExplainCmd(), newPauseCmd(), newResumeCmd(), newRetryCmd(), newSyncCmd(), newSupportBundleCmd(), newContentCmd(), newTrustCmd(), newBackupCmd(), newRestoreCmd(), newResetCmd()},
		"fleet": {
			newInitCmd(), newNewCmd(), newSchemaCmd(), newSetCmd(), newPromoteCmd(), newRegisterCmd(), newLintCmd(), newRenderCmd(), newExplainObjectCmd(), newDiffCmd(), newLockCmd(), newBundleCmd(), newMirrorCmd(), newApproveCmd(), newHeartbeatCmd(), newSecretsCmd(),
		},
		"self": {newVersionCmd(), newHelpCmd(root)},
	} {
		for _, cmd := range cmds {
			cmd.GroupID = group
			root.AddCommand(cmd)
		}
	}
	root.AddCommand(newRenderWorkerCmd(), newServerKeeperCmd(), newRelayCmd())
	root.SetHelpCommandGroupID("self")
	root.SetCompletionCommandGroupID("self")
	root.InitDefaultCompletionCmd()
	finish(root)
	return root
}

func newHelpCmd(root *cobra.Command) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "help [COMMAND...]",
		Short:   "Show what a command does and how",
		Example: "  holdfast help bundle create",
		RunE: func(_ *cobra.Command, args []string) error {
			cmd := root
			for _, name := range args {
				next, _, err := cmd.Find([]string{name})
				if err != nil || next == cmd {
					return badUsage(cmd, unknownCommand(cmd, []string{name}))
				}
				cmd = next
			}
			cmd.InitDefaultHelpFlag()
			return cmd.Help()
		},
	}
	root.SetHelpCommand(cmd)
	return cmd
}

// printAs writes v as JSON or YAML; text is for the command itself.
func printAs(w io.Writer, format string, v any) error {
	switch format {
	case "json":
		enc := json.NewEncoder(plainJSON{w})
		enc.SetIndent("", "  ")
		return enc.Encode(v)
	case "yaml":
		data, err := json.Marshal(v)
		if err != nil {
			return err
		}
		var node yaml.Node
		if err := yaml.Unmarshal(plain(data), &node); err != nil {
			return err
		}
		return writeYAML(w, &node)
	}
	return usagef("unknown output format %q", format)
}
