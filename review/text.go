package review

import (
	"bufio"
	"fmt"
	"io"
	"strings"
)

const (
	textFields = 20 // of one change
	textNames  = 6
	textFiles  = 3
)

const (
	red    = "\x1b[31m"
	green  = "\x1b[32m"
	yellow = "\x1b[33m"
	bold   = "\x1b[1m"
	reset  = "\x1b[0m"
)

var colours = map[Kind]string{SiteVanished: red, HostVanished: red, HostRemoved: red, Delete: red, Recreate: red,
	Distribution: yellow, Create: green, HostAdded: green, SiteAdded: green,
	Unreadable: red, NewImage: yellow, Unlocked: yellow}

type text struct {
	*bufio.Writer
	colour bool
}

// Text writes the changes for a person at a terminal.
func (c *Changes) Text(w io.Writer, colour bool) error {
	t := text{bufio.NewWriter(w), colour}
	fmt.Fprintf(t, "%s\n", t.in(bold, c.summary()))
	for _, note := range c.Notes {
		fmt.Fprintf(t, "  changes   %s\n", clean(note))
	}
	t.served(c)
	all := c.all()
	for i := range all {
		t.group(&all[i], c.Server)
	}
	if a := c.Approvals; a != nil {
		fmt.Fprintf(t, "\n%s  %s\n", t.in(bold, "hosts say"), clean(a.line()))
		for _, need := range a.Needs {
			fmt.Fprintf(t, "    %s\n", clean(need))
		}
	}
	return t.Flush()
}

func (t text) in(colour, s string) string {
	if !t.colour || colour == "" {
		return s
	}
	return colour + s + reset
}

func (t text) group(g *Group, served *Served) {
	fmt.Fprintf(t, "\n%s  %s: %s\n", t.in(colours[g.Kind], string(g.Kind)), g.reach(), t.in(bold, g.title()))
	if g.Danger != "" {
		fmt.Fprintf(t, "    %s %s\n", t.in(red, "danger:"), clean(g.Danger))
	}
	if g.Note != "" {
		fmt.Fprintf(t, "    %s\n", clean(g.Note))
	}
	for i := range g.Fields[:min(len(g.Fields), textFields)] {
		fmt.Fprintf(t, "    %s\n", g.Fields[i].line())
	}
	if n := len(g.Fields) - textFields; n > 0 {
		fmt.Fprintf(t, "    and %s (-o json has all)\n", count(n, "more field"))
	}
	t.said(served, g)
	if len(g.Causes) > 0 {
		fmt.Fprintf(t, "    because of %s\n", clean(g.why(textFiles)))
	}
	fmt.Fprintf(t, "    at %s\n", clean(g.names(textNames)))
}

// line says whether hosts accept the change.
func (a *Approval) line() string {
	return strings.TrimSuffix(a.State+": "+a.Reason, ": ")
}
