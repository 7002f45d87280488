package review

import "fmt"

// served writes what API servers said of all, and of what no change is about.
func (t text) served(c *Changes) {
	s := c.Server
	if s == nil {
		return
	}
	fmt.Fprintf(t, "  %s\n", clean(s.line()))
	for _, note := range s.Notes {
		fmt.Fprintf(t, "    %s\n", clean(note))
	}
	for _, f := range s.apart(c.Groups) {
		if f.noise() {
			continue
		}
		fmt.Fprintf(t, "\n%s  %s: %s\n", t.in(f.colour(), string(f.Kind)), count(len(f.Sites), "site"), t.in(bold, clean(f.title())))
		t.finding(&f, f.Fields)
		fmt.Fprintf(t, "    at %s\n", clean(some(f.Sites, textNames)))
	}
}

// said writes what API servers said of a change.
func (t text) said(s *Served, g *Group) {
	for _, f := range s.of(g) {
		fields := beyond(f.Fields, g.Fields)
		if f.noise() || f.Kind == Live && len(fields) == 0 {
			continue
		}
		t.finding(&f, fields)
	}
}

func (t text) finding(f *Finding, fields []Field) {
	fmt.Fprintf(t, "    %s\n", t.in(f.colour(), clean(f.head())))
	if at := f.place(); at != "" {
		fmt.Fprintf(t, "      %s\n", clean(at))
	}
	if f.Hint != "" {
		fmt.Fprintf(t, "      hint: %s\n", clean(f.Hint))
	}
	for i := range fields[:min(len(fields), textFields)] {
		fmt.Fprintf(t, "      %s\n", fields[i].line())
	}
	if n := len(fields) - textFields; n > 0 {
		fmt.Fprintf(t, "      and %s (-o json has all)\n", count(n, "more field"))
	}
}

func (f *Finding) colour() string {
	switch {
	case f.Kind == Refused && !f.Old:
		return red
	case f.Kind == Refused, f.Kind == Warned, f.Kind == MadeAnew:
		return yellow
	}
	return ""
}
