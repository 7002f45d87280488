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
	"golang.org/x/term"

	"github.com/holdfast-fleet/holdfast/gitsource"
	"github.com/holdfast-fleet/holdfast/reconciler"
)

type statusOptions struct {
	dataDir string
	output  string
}

func newStatusCmd() *cobra.Command {
	var opts statusOptions
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show what this host runs and why",
		Long: `Show what this host runs and why: the revision accepted and the one confirmed,
who signed them, the phase the agent is in, every layer, and what failed last.
It reads a file that the agent keeps, so it works when agent and cluster are down.`,
		Example: `  holdfast status
  holdfast status -o json | jq -r .confirmed.revision`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error { return runStatus(cmd.OutOrStdout(), opts) },
	}
	addDataDir(cmd, &opts.dataDir)
	addOutput(cmd, &opts.output)
	return cmd
}

func runStatus(w io.Writer, opts statusOptions) error {
	st, err := reconciler.ReadStatus(opts.dataDir)
	if errors.Is(err, fs.ErrNotExist) {
		return &tipError{error: fmt.Errorf("no agent has run with data in %s", opts.dataDir),
			tip: "start one with \"holdfast agent\", or say where its data is with --data-dir"}
	}
	if err != nil {
		return &tipError{error: err, tip: "the agent writes it anew as it works: look at its log"}
	}
	if opts.output != "text" {
		return printAs(w, opts.output, st)
	}
	printStatus(w, st, painter(w), time.Now())
	return nil
}

// lines makes each line of text printable, all but the first after indent.
func lines(text, indent string) string {
	all := strings.Split(strings.TrimSpace(text), "\n")
	for i := range all {
		all[i] = printable(all[i])
	}
	return strings.Join(all, "\n"+indent)
}

// A paint colours text for a terminal: "32" is green, "33" yellow, "31" red, "2" dim.
type paint func(code, text string) string

// painter returns a paint that does nothing unless w is a terminal and NO_COLOR is unset.
func painter(w io.Writer) paint {
	f, ok := w.(*os.File)
	if ok && term.IsTerminal(int(f.Fd())) && os.Getenv("NO_COLOR") == "" {
		return func(code, text string) string { return "\x1b[" + code + "m" + text + "\x1b[0m" }
	}
	return func(_, text string) string { return text }
}

func printStatus(w io.Writer, st reconciler.Status, c paint, now time.Time) {
	name := "not registered"
	if st.Host != "" {
		name = printable(st.Host + " at " + st.Site)
	}
	fmt.Fprintf(w, "%-10s %s  %s\n", "host", name, c("2", st.Fingerprint))
	fmt.Fprintf(w, "%-10s %s\n", "state", stateLine(st, c, now))
	if st.Receiving != "" {
		fmt.Fprintf(w, "%-10s %s\n", reconciler.PhaseSource, printable(st.Receiving))
	}
	printCommit(w, "accepted", st.Accepted, c, now)
	if st.Stale != nil {
		fmt.Fprintf(w, "%s %s\n", c("33", "stale     "), printable(st.Stale.Why))
	}
	for _, d := range st.Diverged {
		fmt.Fprintf(w, "%s %s\n", c("31", "alarm     "), printable(d.Error()))
	}
	if st.Accepted != nil && st.Accepted.Reset != nil {
		printReset(w, st.Accepted.Reset, c, now)
	}
	printCommit(w, "confirmed", st.Confirmed, c, now)
	fmt.Fprintf(w, "%-10s %s, pid %d, up %s%s\n", "agent", st.Agent.Version, st.Agent.PID, age(now, st.Agent.Started), alive(st.Agent.PID, c))
	if st.Agent.Trial {
		fmt.Fprintf(w, "%-10s on trial: it has not loaded a revision yet\n", "")
	}
	if len(st.Layers) > 0 {
		fmt.Fprintln(w, "layers")
	}
	for _, l := range st.Layers {
		fmt.Fprintf(w, "  %-16s %s  %d objects, %s  %s\n", l.Name, layerState(l.State, c), l.Objects, age(now, l.Since), c("2", short(l.Digest)))
		if l.Message != "" {
			fmt.Fprintf(w, "    %s\n", lines(l.Message, "    "))
		}
	}
	for _, p := range st.Paused {
		until, label := p.Until.Format(time.RFC3339), "paused    "
		if p.Reason != "" {
			until += ": " + printable(p.Reason)
		}
		if p.By != nil {
			label, until = "suspended ", until+fmt.Sprintf(" (%s:%d)", printable(p.By.File), p.By.Line)
		}
		fmt.Fprintf(w, "%s %s until %s\n", c("33", label), printable(whatOf(p.Layer)), until)
	}
	if st.Waiting != nil {
		fmt.Fprintf(w, "%s revision %.12s waits for the maintenance window at %s\n", c("33", "waiting   "), st.Waiting.Revision, st.Waiting.Opens.Format(time.RFC3339))
	}
	for _, o := range st.Held {
		fmt.Fprintf(w, "%-10s %s, of layer %s: %s\n", "held", printable(o.String()), printable(o.Layer), printable(o.Why))
		if o.Do != "" {
			fmt.Fprintf(w, "%-10s hint: %s\n", "", printable(o.Do))
		}
	}
	for _, f := range st.Failures {
		fmt.Fprintf(w, "%s %s, for %s: %s\n", c("31", "failure   "), f.Phase, age(now, f.Since), lines(f.Message, "           "))
		for tip := range strings.Lines(f.Hint) {
			fmt.Fprintf(w, "           hint: %s\n", printable(tip))
		}
	}
}

func stateLine(st reconciler.Status, c paint, now time.Time) string {
	switch {
	case st.Healthy():
		return c("32", "healthy") + " for " + age(now, st.Since)
	case st.Settled:
		return c("33", "healthy, but see below") + ", " + age(now, st.Since)
	}
	return c("33", string(st.Phase)) + " for " + age(now, st.Since)
}

func printCommit(w io.Writer, label string, commit *reconciler.Commit, c paint, now time.Time) {
	if commit == nil {
		fmt.Fprintf(w, "%-10s %s\n", label, c("2", "nothing yet"))
		return
	}
	fmt.Fprintf(w, "%-10s %s  signed by %s, %s ago\n", label, commit.Revision[:min(12, len(commit.Revision))], printable(commit.Signer), age(now, commit.Since))
}

func printReset(w io.Writer, o *gitsource.Override, c paint, now time.Time) {
	from := "what is not known"
	if o.From != "" {
		from = o.From[:min(12, len(o.From))]
	}
	fmt.Fprintf(w, "%s by hand, from %s, %s ago; void when a newer revision is accepted\n", c("33", "reset     "), printable(from), age(now, o.At))
}

func layerState(s reconciler.LayerState, c paint) string {
	code := "33"
	switch s {
	case reconciler.LayerReady:
		code = "32"
	case reconciler.LayerFailed, reconciler.LayerBlocked:
		code = "31"
	}
	return c(code, fmt.Sprintf("%-8s", s))
}

// alive says when the agent of the status is not running any more.
func alive(pid int, c paint) string {
	if _, err := os.Stat(fmt.Sprintf("/proc/%d", pid)); errors.Is(err, fs.ErrNotExist) {
		return c("31", " (not running now)")
	}
	return ""
}

func age(now, then time.Time) string {
	d := now.Sub(then)
	switch {
	case d < time.Minute:
		return d.Round(time.Second).String()
	case d < 24*time.Hour:
		return strings.TrimSuffix(d.Round(time.Minute).String(), "0s")
	}
	return fmt.Sprintf("%dd", int(d.Hours()/24))
}

func short(digest string) string {
	_, hex, _ := strings.Cut(digest, ":")
	return hex[:min(12, len(hex))]
}
