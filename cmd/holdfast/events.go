package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/holdfast-fleet/holdfast/events"
)

type eventsOptions struct {
	dataDir, output, since string
	number                 int
	follow                 bool
}

func newEventsCmd() *cobra.Command {
	var opts eventsOptions
	cmd := &cobra.Command{
		Use:   "events",
		Short: "Show what happened on this host and why",
		Long: `Show what happened on this host and why, the newest last: revisions accepted and
refused, layers applied and rolled back, drift repaired, pauses, switches of the
agent. The words are those of the agent's log.

It reads files that the agent keeps, about a megabyte of what happened last, so it
works when agent and cluster are down.`,
		Example: `  holdfast events
  holdfast events --follow
  holdfast events --since 2h -o json | jq -r 'select(.warning) | .what'`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if cmd.Flags().Changed("since") && !cmd.Flags().Changed("number") {
				opts.number = 0
			}
			return runEvents(cmd.Context(), cmd.OutOrStdout(), opts)
		},
	}
	addDataDir(cmd, &opts.dataDir)
	addChoice(cmd, "output", "o", choice{&opts.output, "output format", []string{"text", "json"}})
	cmd.Flags().StringVar(&opts.since, "since", "", "only what happened since then: 2h ago, or at a time like 2026-11-23T03:00:00Z")
	cmd.Flags().IntVarP(&opts.number, "number", "n", 50, "only the last ones, so many; 0 for all")
	cmd.Flags().BoolVarP(&opts.follow, "follow", "f", false, "stay, and show what happens")
	return cmd
}

func runEvents(ctx context.Context, w io.Writer, opts eventsOptions) error {
	since, err := parseSince(opts.since, time.Now())
	if err != nil {
		return err
	}
	list, err := events.Read(opts.dataDir)
	if errors.Is(err, fs.ErrNotExist) && !opts.follow {
		return &tipError{fmt.Errorf("no agent has noted events in %s", opts.dataDir), "start one with \"holdfast agent\", or say where its data is with --data-dir"}
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	skip := slices.IndexFunc(list, func(e events.Event) bool { return !e.At.Before(since) })
	if skip < 0 {
		skip = len(list)
	}
	if opts.number > 0 {
		skip = max(skip, len(list)-opts.number)
	}
	if opts.follow {
		return followEvents(ctx, w, skip, opts)
	}
	for _, e := range list[skip:] {
		if err := printEvent(w, e, opts.output); err != nil {
			return err
		}
	}
	return nil
}

// followEvents shows all that has happened but for the first events, and all that
// happens from now on, whatever the clock says of it.
func followEvents(ctx context.Context, w io.Writer, skip int, opts eventsOptions) error {
	var failed error
	err := events.Follow(ctx, opts.dataDir, func(e events.Event) bool {
		if skip--; skip >= 0 {
			return true
		}
		failed = printEvent(w, e, opts.output)
		return failed == nil
	})
	return errors.Join(err, failed)
}

func parseSince(text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if ago, err := time.ParseDuration(text); err == nil && ago >= 0 {
		return now.Add(-ago), nil
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return at, usageError{fmt.Errorf("%q is no time", text), "write how long ago, like 2h or 90m, or when, like 2026-11-23T03:00:00Z"}
	}
	return at, nil
}

func printEvent(w io.Writer, e events.Event, output string) error {
	if output == "json" {
		return json.NewEncoder(plainJSON{w}).Encode(e)
	}
	s := newSheet(w)
	code := ""
	if e.Warning {
		code = yellow
	}
	at := e.At.Local().Format(time.Stamp)
	what := printable(e.What)
	left, facts := at+"  "+s.paint(code, what), factsOf(s, e)
	if facts != "" {
		left += strings.Repeat(" ", max(0, 18-width(what))) + "  "
	}
	s.row(left, strings.Repeat(" ", len(at)+4), facts)
	_, err := io.WriteString(w, s.String())
	return err
}

// factOrder is how facts of an event are told: which thing first, why last.
var factOrder = []string{"revision", "commit", "layer", "object", "phase", "order", "", "hint", "do", "why", "reason", "cause", "error"}

func factsOf(s *sheet, e events.Event) string {
	place := func(name string) int {
		if at := slices.Index(factOrder, name); at >= 0 {
			return at
		}
		return slices.Index(factOrder, "")
	}
	names := slices.SortedFunc(maps.Keys(e.Facts), func(a, b string) int {
		return cmp.Or(cmp.Compare(place(a), place(b)), cmp.Compare(a, b))
	})
	said := make([]string, len(names))
	for i, name := range names {
		value := e.Facts[name]
		if strings.HasPrefix(value, "sha256:") {
			value = short(value)
		}
		said[i] = s.paint(dim, printable(name)) + " " + printable(value)
	}
	return strings.Join(said, ", ")
}
