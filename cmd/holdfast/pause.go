package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/holdfast-fleet/holdfast/orders"
	"github.com/holdfast-fleet/holdfast/reconciler"
)

type pauseOptions struct {
	dataDir, reason string
	lasts           time.Duration
}

func newPauseCmd() *cobra.Command {
	var opts pauseOptions
	cmd := &cobra.Command{
		Use:   "pause [LAYER]",
		Short: "Let this host's agent change nothing for a while",
		Long: `Let this host's agent change nothing for a while, or nothing of one layer: it
neither applies nor repairs. It goes on fetching and verifying. When the time is
over, or after "holdfast resume", it puts right what was changed by hand.`,
		Example: `  holdfast pause --for 2h --reason "stocktaking"
  holdfast pause shop --for 30m`,
		Args: optionalArgument,
		RunE: func(cmd *cobra.Command, args []string) error {
			return runPause(cmd.OutOrStdout(), layerOf(args), opts)
		},
	}
	addDataDir(cmd, &opts.dataDir)
	cmd.Flags().DurationVar(&opts.lasts, "for", time.Hour, "how long, such as 30m or 2h")
	cmd.Flags().StringVar(&opts.reason, "reason", "", "why, for those who look at the status")
	return cmd
}

func runPause(w io.Writer, layer string, opts pauseOptions) error {
	o := orders.Order{Verb: orders.Pause, Layer: layer, At: time.Now().UTC().Truncate(time.Second), For: opts.lasts, Reason: opts.reason}
	if err := give(opts.dataDir, o); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "%s paused until %s\n", whatOf(layer), o.Until().Format(time.RFC3339))
	return err
}

func newResumeCmd() *cobra.Command {
	var dataDir string
	cmd := &cobra.Command{
		Use:   "resume [LAYER]",
		Short: "End a pause before its time",
		Long: `End a pause before its time: that of the whole host, or that of a layer. The
agent then puts right what was changed by hand.`,
		Example: `  holdfast resume
  holdfast resume shop`,
		Args: optionalArgument,
		RunE: func(cmd *cobra.Command, args []string) error {
			return runResume(cmd.OutOrStdout(), layerOf(args), dataDir)
		},
	}
	addDataDir(cmd, &dataDir)
	return cmd
}

func runResume(w io.Writer, layer, dataDir string) error {
	was, err := orders.In(dataDir).Remove(orders.Pause, layer)
	if err != nil {
		return err
	}
	if !was {
		return &tipError{fmt.Errorf("%s is not paused", whatOf(layer)), "holdfast status lists the pauses"}
	}
	_, err = fmt.Fprintf(w, "%s goes on\n", whatOf(layer))
	return err
}

// give leaves an order for the agent.
func give(dataDir string, o orders.Order) error {
	if _, err := os.Stat(dataDir); errors.Is(err, fs.ErrNotExist) {
		return &tipError{error: fmt.Errorf("no agent has run with data in %s", dataDir),
			tip: "start one with \"holdfast agent\", or say where its data is with --data-dir"}
	}
	if err := checkLayer(dataDir, o.Layer); err != nil {
		return err
	}
	return orders.In(dataDir).Give(o)
}

// checkLayer refuses the name of a layer that this host does not have, as far as is known.
func checkLayer(dataDir, layer string) error {
	st, err := reconciler.ReadStatus(dataDir)
	if err != nil || layer == "" || len(st.Layers) == 0 {
		return nil
	}
	var names []string
	for _, l := range st.Layers {
		if l.Name == layer {
			return nil
		}
		names = append(names, printable(l.Name))
	}
	return &tipError{fmt.Errorf("this host has no layer %q", layer), "it has " + strings.Join(names, ", ")}
}

func layerOf(args []string) string { return strings.Join(args, "") }

func whatOf(layer string) string {
	if layer == "" {
		return "this host"
	}
	return "layer " + layer
}
