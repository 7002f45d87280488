package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/holdfast-fleet/holdfast/reconciler"
)

// print says it as people read it: first what there is to know at once, then what
// the host runs, then what is wrong and what to do.
func (st hostStatus) print(s *sheet) {
	name := "not registered  " + s.paint(dim, st.Fingerprint)
	if st.Host != "" {
		name = printable(st.Host + " at " + st.Site)
	}
	s.fact("host", "", name)
	st.printState(s)
	st.printRevisions(s)
	st.printSources(s)
	st.printAgent(s)
	st.printLayers(s)
	st.printBackup(s)
	st.printPauses(s)
	st.printHeld(s)
	st.printFailures(s)
}

func (st hostStatus) printState(s *sheet) {
	now := st.Now.At
	switch state := st.Condition(); {
	case !st.Now.Running:
		s.fact("state", "", s.paint(red, "no agent runs")+fmt.Sprintf("; what follows is %s old, when it was %s", age(now, st.UpdatedAt), state))
		s.fact("", "", "hint: systemctl start holdfast, and see journalctl -u holdfast")
	case !st.clusterAnswers():
		s.fact("state", "", s.paint(red, "failing")+": the cluster "+printable(st.Now.Cluster))
	case state == reconciler.Healthy:
		s.fact("state", "", s.paint(green, "healthy")+" for "+age(now, st.Since))
	case st.Settled:
		s.fact("state", "", s.paint(yellow, "healthy, but see below")+", "+age(now, st.Since))
	case state == reconciler.Failing:
		s.fact("state", "", s.paint(red, "failing")+fmt.Sprintf(", in phase %s for %s", st.Phase, age(now, st.Since)))
	case slices.ContainsFunc(st.Paused, func(p reconciler.Pause) bool { return p.Layer == "" }):
		s.fact("state", "", s.paint(yellow, "paused")+", see below")
	default:
		s.fact("state", "", s.paint(yellow, "at work")+fmt.Sprintf(", in phase %s for %s", st.Phase, age(now, st.Since)))
	}
	if !st.clusterAnswers() && !st.Now.Running {
		s.fact("cluster", red, printable(st.Now.Cluster))
	}
	if st.Next != nil && st.Now.Running {
		in := "now"
		if d := st.Next.At.Sub(now); d > 0 {
			in = "in " + span(d)
		}
		s.fact("next", "", fmt.Sprintf("%s %s, at %s", printable(st.Next.What), in, st.Next.At.Local().Format(time.TimeOnly)))
	}
}

func (st hostStatus) printRevisions(s *sheet) {
	now := st.Now.At
	commit := func(label string, c *reconciler.Commit) {
		if c == nil {
			s.fact(label, "", s.paint(dim, "nothing yet"))
			return
		}
		s.fact(label, "", fmt.Sprintf("%s  signed by %s, %s ago", printable(clip(c.Revision)), printable(c.Signer), age(now, c.Since)))
	}
	commit("accepted", st.Accepted)
	if st.Unreleased > 0 {
		s.fact("waiting", yellow, "for a release: "+count(st.Unreleased, "newer commit"))
	}
	if st.Stale != nil {
		s.fact("stale", yellow, printable(st.Stale.Why))
	}
	for _, d := range st.Diverged {
		s.fact("alarm", red, printable(d.Error()))
	}
	if st.Accepted != nil && st.Accepted.Reset != nil {
		o, from := st.Accepted.Reset, "what is not known"
		if o.From != "" {
			from = clip(o.From)
		}
		s.fact("reset", yellow, fmt.Sprintf("by hand, from %s, %s ago; void when a newer revision is accepted", printable(from), age(now, o.At)))
	}
	commit("confirmed", st.Confirmed)
	if st.Leader != "" {
		s.fact("applied", "", "by host "+printable(st.Leader)+" of the site")
	}
}

func (st hostStatus) printSources(s *sheet) {
	now := st.Now.At
	label := "sources"
	for _, source := range st.Sources {
		var said []string
		switch {
		case source.Problem != "" && source.Heard.IsZero():
			said = append(said, s.paint(red, "never heard"))
		case source.Problem != "":
			said = append(said, s.paint(red, "last heard "+age(now, source.Heard)+" ago"))
		case source.Asked.IsZero():
			said = append(said, s.paint(yellow, "being asked for the first time"))
		default:
			said = append(said, "heard "+age(now, source.Heard)+" ago")
		}
		if source.Next.After(now) && st.Now.Running {
			said = append(said, "asked again in "+span(source.Next.Sub(now)))
		}
		s.fact(label, "", printable(source.Name)+"  "+strings.Join(said, ", "))
		if source.Problem != "" && !st.failureSays(source.Problem) {
			s.fact("", "", printable(source.Problem))
		}
		label = ""
	}
	if st.Receiving != "" {
		s.fact("source", "", printable(st.Receiving))
	}
}

// failureSays tells whether something is said among the failures anyway.
func (st hostStatus) failureSays(text string) bool {
	for _, f := range st.Failures {
		if strings.Contains(f.Message, text) {
			return true
		}
	}
	return false
}

func (st hostStatus) printAgent(s *sheet) {
	now, a := st.Now.At, st.Agent
	slot := ""
	if a.Slot != "" {
		slot = " in slot " + a.Slot
	}
	alive := fmt.Sprintf("pid %d, up %s", a.PID, age(now, a.Started))
	if !st.Now.Running {
		alive = s.paint(red, "not running now") + fmt.Sprintf(", was pid %d, started %s ago", a.PID, age(now, a.Started))
	}
	s.fact("agent", "", printable(a.Version)+slot+", "+alive)
	if a.Trial {
		s.fact("", "", s.paint(yellow, "on trial")+": it has not loaded a revision yet")
	}
	for _, bad := range a.Bad {
		s.fact("", "", s.paint(yellow, printable(bad.Version))+fmt.Sprintf(" was tried %s ago and switched back: %s", age(now, bad.At), printable(bad.Why)))
	}
}

// printPauses says what waits, because somebody wants it to.
func (st hostStatus) printPauses(s *sheet) {
	for _, p := range st.Paused {
		label, until := "paused", p.Until.Format(time.RFC3339)
		if p.Reason != "" {
			until += ": " + printable(p.Reason)
		}
		if p.By != nil {
			label, until = "suspended", until+fmt.Sprintf(" (%s:%d)", printable(p.By.File), p.By.Line)
		}
		s.fact(label, yellow, printable(whatOf(p.Layer))+" until "+until)
	}
	if w := st.Waiting; w != nil {
		s.fact("waiting", yellow, fmt.Sprintf("revision %s waits for the maintenance window at %s", printable(clip(w.Revision)), w.Opens.Format(time.RFC3339)))
	}
}

func (st hostStatus) printHeld(s *sheet) {
	for _, v := range st.Verdicts {
		if st.isMended(v) {
			continue
		}
		s.fact("bad", yellow, fmt.Sprintf("layer %s as %s, put back to %s %s ago: %s", printable(v.Layer), short(v.Digest), short(v.To), age(st.Now.At, v.Since), printable(v.Why)))
		s.fact("", "", "hint: mend it in a commit; or, if the cause is gone: holdfast retry "+printable(v.Layer))
	}
	for _, o := range st.Held {
		s.fact("held", yellow, fmt.Sprintf("%s, of layer %s: %s", printable(o.String()), printable(o.Layer), printable(o.Why)))
		if o.Do != "" {
			s.fact("", "", "hint: "+printable(o.Do))
		}
	}
	for _, f := range st.Fights {
		s.fact("fight", yellow, fmt.Sprintf("%s, of layer %s, for %s: %s", printable(f.String()), printable(f.Layer), age(st.Now.At, f.Since), printable(f.Why)))
		s.fact("", "", "hint: take the field out of the layer, or list it under its \"ignore\", or stop whoever changes it")
	}
}

// isMended tells whether a layer is to be another by now than the one that was found bad, or is not to be at all.
func (st hostStatus) isMended(v reconciler.Verdict) bool {
	return !slices.ContainsFunc(st.Layers, func(l reconciler.LayerStatus) bool { return l.Name == v.Layer && l.Digest == v.Digest })
}

func (st hostStatus) printFailures(s *sheet) {
	for _, f := range st.Failures {
		label := "failure"
		said := fmt.Sprintf("%s, for %s: ", f.Phase, age(st.Now.At, f.Since))
		for line := range strings.Lines(strings.TrimSpace(f.Message)) {
			s.fact(label, red, said+printable(line))
			label, said = "", ""
		}
		for tip := range strings.Lines(f.Hint) {
			s.fact("", "", "hint: "+printable(tip))
		}
	}
}

func age(now, then time.Time) string { return span(now.Sub(then)) }

// span is a time as people say it: two units at most.
func span(d time.Duration) string {
	const day = 24 * time.Hour
	big, small := "h", "m" // units
	n, rest := d/time.Hour, d%time.Hour/time.Minute
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%ds", max(0, d/time.Second))
	case d < time.Hour:
		big, small = "m", "s"
		n, rest = d/time.Minute, d%time.Minute/time.Second
	case d >= 2*day:
		return fmt.Sprintf("%dd", d/day)
	}
	if rest == 0 {
		return fmt.Sprintf("%d%s", n, big)
	}
	return fmt.Sprintf("%d%s%d%s", n, big, rest, small)
}

func short(digest string) string {
	_, hex, _ := strings.Cut(digest, ":")
	return clip(hex)
}

// clip shortens what is known by its first digits.
func clip(hex string) string { return hex[:min(12, len(hex))] }
