package main

import (
	"encoding/json"
	"fmt"
	"io"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"
)

const defaultDataDir = "/var/lib/holdfast"

// A usageError is a command line that makes no sense.
type usageError struct{ error }

func (u usageError) Unwrap() error { return u.error }

func newRootCmd() *cobra.Command {
	root := &cobra.Command{
		Use:   "holdfast",
		Short: "Keep a fleet of edge Kubernetes hosts at what a signed Git repository says",
		Long: `Holdfast keeps a fleet of edge Kubernetes hosts at what a signed Git repository
says, with no management server. It is both the agent on every host and the
command line at headquarters.`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.NoArgs,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usageError{fmt.Errorf("%w (see %s --help)", err, cmd.CommandPath())}
	})
	root.AddGroup(&cobra.Group{ID: "host", Title: "On a host:"}, &cobra.Group{ID: "fleet", Title: "At headquarters:"})
	for group, cmds := range map[string][]*cobra.Command{
		"host":  {newAgentCmd(), newStatusCmd(), newContentCmd()},
		"fleet": {newRegisterCmd(), newLintCmd(), newRenderCmd(), newLockCmd(), newBundleCmd()},
	} {
		for _, cmd := range cmds {
			cmd.GroupID = group
			root.AddCommand(cmd)
		}
	}
	root.AddCommand(newVersionCmd())
	return root
}

// printAs writes v as JSON or YAML; text is for the command itself.
func printAs(w io.Writer, format string, v any) error {
	switch format {
	case "json":
		enc := json.NewEncoder(w)
		enc.SetIndent("", "  ")
		return enc.Encode(v)
	case "yaml":
		data, err := json.Marshal(v)
		if err != nil {
			return err
		}
		var node yaml.Node
		if err := yaml.Unmarshal(data, &node); err != nil {
			return err
		}
		blockStyle(&node)
		return yaml.NewEncoder(w).Encode(&node)
	}
	return usageError{fmt.Errorf("unknown output format %q: text, json or yaml", format)}
}

// blockStyle makes a document that was read from JSON look like YAML.
func blockStyle(n *yaml.Node) {
	n.Style = 0
	for _, c := range n.Content {
		blockStyle(c)
	}
}
