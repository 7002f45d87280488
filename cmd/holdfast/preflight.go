package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"github.com/holdfast-fleet/holdfast/bootstrap"
	"github.com/holdfast-fleet/holdfast/bootstrap/preflight"
	"github.com/holdfast-fleet/holdfast/fleet"
	"github.com/holdfast-fleet/holdfast/peers"
)

type preflightOptions struct {
	kind, role, dataDir, output string
	apiPort                     int
	acceptClock                 bool
}

func newPreflightCmd() *cobra.Command {
	opts := preflightOptions{kind: fleet.Kubeadm, role: string(fleet.ControlPlane), output: "text"}
	cmd := &cobra.Command{
		Use:   "preflight",
		Short: "Say whether this machine can become a node, and what keeps it from that",
		Long: `Say whether this machine can become a node, and what keeps it from that: memory,
disk, ports that are taken, the kernel, programs, clusters of other tools, its name
and its clock. It changes nothing. The agent looks at the same before it begins
with a node, and knows of the content and the other hosts of the site, too.

Certificates are dated by the clock. Where nothing synchronises it, look at it and
say --accept-clock, once; a clock that is earlier one day is not accepted any more.

It needs root. Exit codes: 0 it can, perhaps with warnings; 1 it cannot; 2 the
command line makes no sense.`,
		Example: `  holdfast preflight
  holdfast preflight --type k3s
  holdfast preflight --role worker -o json
  holdfast preflight --accept-clock   # on a site without time servers`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runPreflight(cmd.Context(), cmd.OutOrStdout(), opts)
		},
	}
	kinds := slices.DeleteFunc(slices.Clone(fleet.DistributionTypes), func(kind string) bool { return kind == fleet.Embedded })
	addChoice(cmd, "type", "", choice{&opts.kind, "type of distribution", kinds})
	addChoice(cmd, "role", "", choice{&opts.role, "role", []string{string(fleet.ControlPlane), string(fleet.Worker)}})
	addChoice(cmd, "output", "o", choice{&opts.output, "output format", []string{"text", "json", "yaml"}})
	cmd.Flags().IntVar(&opts.apiPort, "api-port", 6443, "port of the API server")
	cmd.Flags().BoolVar(&opts.acceptClock, "accept-clock", false, "from now on, take the clock for right")
	addDataDir(cmd, &opts.dataDir)
	return cmd
}

func runPreflight(ctx context.Context, w io.Writer, opts preflightOptions) error {
	if os.Geteuid() != 0 {
		return &tipError{errors.New("only root can look at all of the machine"), "sudo holdfast preflight"}
	}
	if opts.acceptClock {
		if err := os.MkdirAll(opts.dataDir, 0o700); err != nil {
			return err
		}
		if err := preflight.AcceptClock(opts.dataDir); err != nil {
			return err
		}
	}
	host := nameOf(opts.dataDir)
	checks, err := bootstrap.Preflight(ctx, bootstrap.Request{
		Dir: filepath.Join(opts.dataDir, opts.kind), Host: host, Members: []peers.Member{{Name: host, Role: fleet.Role(opts.role)}},
		Distribution: fleet.Distribution{Type: opts.kind, APIPort: opts.apiPort},
	})
	if err != nil {
		return err
	}
	if opts.output == "text" {
		err = printChecks(w, checks)
	} else {
		err = printAs(w, opts.output, map[string]any{"checks": checks})
	}
	if err == nil && preflight.Refuse(checks) != nil {
		return exitCode(1)
	}
	return err
}

// printChecks prints a line for each check, and what each found.
func printChecks(w io.Writer, checks []preflight.Check) error {
	errs, warnings := 0, 0
	var failed error
	line := func(format string, args ...any) {
		if _, err := fmt.Fprintf(w, format, args...); err != nil {
			failed = err
		}
	}
	for _, c := range checks {
		if len(c.Findings) == 0 {
			line("ok       %s\n", c.Name)
		}
		for _, f := range c.Findings {
			grade := "error"
			if f.Warning {
				grade = "warning"
				warnings++
			} else {
				errs++
			}
			line("%-8s %s: %s\n         hint: %s\n", grade, c.Name, printable(f.What), printable(f.Hint))
		}
	}
	verdict := "this machine can become a node"
	if errs > 0 {
		verdict = "this machine cannot become a node"
	}
	line("%s: %s, %s\n", verdict, counted(errs, "error"), counted(warnings, "warning"))
	return failed
}
