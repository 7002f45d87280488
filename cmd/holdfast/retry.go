package main

import (
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/holdfast-fleet/holdfast/orders"
)

func newRetryCmd() *cobra.Command {
	var dataDir string
	cmd := &cobra.Command{
		Use:   "retry [LAYER]",
		Short: "Try once more what was found bad",
		Long: `Try once more what was found bad: a layer that was put back to what was last
confirmed, or all of them, the agent's programs, and an upgrade of Kubernetes that
was undone, or for which pods did not move. Otherwise a bad layer is not tried
until a commit changes it. Use it when the cause was elsewhere and is gone.`,
		Example: `  holdfast retry
  holdfast retry shop`,
		Args: optionalArgument,
		RunE: func(cmd *cobra.Command, args []string) error {
			return runOnce(cmd.OutOrStdout(), dataDir, orders.Order{Verb: orders.Retry, Layer: layerOf(args)})
		},
	}
	addDataDir(cmd, &dataDir)
	return cmd
}

// runOnce leaves an order that is carried out once.
func runOnce(w io.Writer, dataDir string, o orders.Order) error {
	o.At = time.Now().UTC().Truncate(time.Second)
	if err := give(dataDir, o); err != nil {
		return err
	}
	_, err := fmt.Fprintln(w, "the agent does it at once, or as soon as it runs")
	return err
}
