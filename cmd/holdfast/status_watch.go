package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/holdfast-fleet/holdfast/reconciler"
)

const (
	watchEvery   = 500 * time.Millisecond // between looks at the status
	clusterEvery = 10 * time.Second       // between two questions to the cluster
)

// watchStatus shows the status until ctx ends: as a page that is drawn again, or,
// where there is no terminal, what changes.
func watchStatus(ctx context.Context, w io.Writer, opts statusOptions) error {
	show := changesOf(w)
	switch {
	case opts.output == "json":
		show = documentsTo(w)
	case opts.output != "text":
		return usagef("--watch goes with text and json, not with %s", opts.output)
	case screenOf(w).rows > 0:
		show = pageOn(w)
	}
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	var asked time.Time
	var cluster string
	for {
		st, err := readStatus(opts)
		if err != nil {
			return err
		}
		if time.Since(asked) > clusterEvery {
			cluster, asked = askCluster(ctx, st.Kubeconfig), time.Now()
		}
		st.found(cluster)
		if ctx.Err() != nil {
			return nil
		}
		if err := show(st); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// pageOn draws over what was drawn before, as much as the terminal has room for.
func pageOn(w io.Writer) func(hostStatus) error {
	const home, clearLine, clearBelow = "\x1b[H", "\x1b[K\n", "\x1b[J"
	first := "\x1b[2J"
	return func(st hostStatus) error {
		s := newSheet(w)
		st.print(s)
		lines := strings.Split(strings.TrimSuffix(s.String(), "\n"), "\n")
		if room := max(2, s.rows-1); len(lines) > room {
			lines = append(lines[:room-1], s.paint(dim, fmt.Sprintf("%d more lines: holdfast status", len(lines)-room+1)))
		}
		_, err := io.WriteString(w, first+home+strings.Join(lines, clearLine)+clearLine+clearBelow)
		first = ""
		return err
	}
}

// documentsTo writes each status that is another, a line each.
func documentsTo(w io.Writer) func(hostStatus) error {
	var last string
	return func(st hostStatus) error {
		at := st.Now.At
		st.Now.At = time.Time{}
		said, err := json.Marshal(st)
		if err != nil || string(said) == last {
			return err
		}
		last = string(said)
		st.Now.At = at
		return json.NewEncoder(plainJSON{w}).Encode(st)
	}
}

// changesOf writes what is said of the host and its layers whenever that changes,
// a line each.
func changesOf(w io.Writer) func(hostStatus) error {
	said := map[string]string{}
	for _, phase := range reconciler.Phases() {
		said[string(phase)] = noFailure
	}
	return func(st hostStatus) error {
		for _, fact := range st.facts() {
			if said[fact.of] == fact.text {
				continue
			}
			said[fact.of] = fact.text
			if _, err := fmt.Fprintf(w, "%s  %-10s %s\n", st.Now.At.Local().Format(time.TimeOnly), printable(fact.of), printable(fact.text)); err != nil {
				return err
			}
		}
		return nil
	}
}

// noFailure is said of a phase that failed, once it does not any more.
const noFailure = "fails no more"

type fact struct{ of, text string }

// facts is what is worth a line when it changes.
func (st hostStatus) facts() []fact {
	list := []fact{{"state", string(st.Now.Condition)}}
	commit := func(of string, c *reconciler.Commit) {
		if c != nil {
			list = append(list, fact{of, clip(c.Revision) + " signed by " + c.Signer})
		}
	}
	commit("accepted", st.Accepted)
	commit("confirmed", st.Confirmed)
	if st.Leader != "" {
		list = append(list, fact{"applied", "by host " + st.Leader})
	}
	if st.Now.Cluster != "" {
		list = append(list, fact{"cluster", st.Now.Cluster})
	}
	for _, l := range st.Layers {
		text := string(l.State)
		for i, t := range l.Troubles {
			if i == 0 {
				text += ": " + t.String() + " is " + t.State + ": " + t.Why
			}
		}
		if len(l.Troubles) == 0 && l.Message != "" {
			text += ": " + l.Message
		}
		list = append(list, fact{"layer " + l.Name, text})
	}
	for _, phase := range reconciler.Phases() {
		list = append(list, fact{string(phase), st.failureOf(phase)})
	}
	return list
}

func (st hostStatus) failureOf(phase reconciler.Phase) string {
	for _, f := range st.Failures {
		if f.Phase == phase {
			return "fails: " + f.Message
		}
	}
	return noFailure
}
