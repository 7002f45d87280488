package main

import (
	"fmt"
	"io"
	"reflect"
	"slices"

	"github.com/spf13/cobra"

	"github.com/holdfast-fleet/holdfast/fleet"
	"github.com/holdfast-fleet/holdfast/trust"
)

func newSchemaCmd() *cobra.Command {
	return &cobra.Command{
		Use:   "schema [KIND]",
		Short: "Print the JSON Schema of a kind of object",
		Long: `Print the JSON Schema of a kind of object, as editors use it to complete and to
check. Without a kind, list the kinds. "holdfast init" puts them all into the new
fleet, and refers to them in the files that it writes.`,
		Example: `  holdfast schema
  holdfast schema Site > site.json`,
		Args: optionalArgument,
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return kinds(), cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(cmd *cobra.Command, args []string) error { return runSchema(cmd.OutOrStdout(), args) },
	}
}

// kinds lists what there are schemas of.
func kinds() []string {
	all := append(fleet.Kinds(), "TrustPolicy", "AgentConfig")
	slices.Sort(all)
	return all
}

func runSchema(w io.Writer, args []string) error {
	if len(args) == 0 {
		for _, kind := range kinds() {
			if _, err := fmt.Fprintln(w, kind); err != nil {
				return err
			}
		}
		return nil
	}
	data, err := schemaOf(args[0])
	if err != nil {
		return err
	}
	_, err = w.Write(data)
	return err
}

func schemaOf(kind string) ([]byte, error) {
	switch {
	case kind == "TrustPolicy":
		return fleet.SchemaOf(kind, trust.PolicyForm())
	case kind == "AgentConfig":
		return fleet.SchemaOf(kind, reflect.TypeFor[agentConfig]())
	case slices.Contains(kinds(), kind):
		return fleet.Schema(kind)
	}
	return nil, &tipError{error: fmt.Errorf("no kind %s", kind), tip: near(kind, kinds(), "the kinds are")}
}
