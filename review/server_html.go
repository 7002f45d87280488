package review

import "fmt"

// pageFinding is what API servers said of an object, as the page shows it.
type pageFinding struct {
	Class, Text, Place, Hint string
	Fields                   []pageField
	More                     string
}

// page is what API servers said of a change.
func (s *Served) page(g *Group) []pageFinding {
	var out []pageFinding
	for _, f := range s.of(g) {
		fields := beyond(f.Fields, g.Fields)
		if f.noise() || f.Kind == Live && len(fields) == 0 || len(out) == pageFields {
			continue
		}
		one := pageFinding{Class: string(f.Kind), Text: shorten(clean(f.head()), 2000), Place: shorten(clean(f.place()), 300), Hint: shorten(clean(f.Hint), 500)}
		if f.Old {
			one.Class = "old"
		}
		for i := range fields[:min(len(fields), pageFields)] {
			one.Fields = append(one.Fields, newPageField(&fields[i]))
		}
		if n := len(fields) - pageFields; n > 0 {
			one.More = fmt.Sprintf("and %s (holdfast diff -o json has all)", count(n, "more field"))
		}
		out = append(out, one)
	}
	return out
}

// servedBoxes are what API servers said of all, and of what no change is about.
func (c *Changes) servedBoxes() []pageBox {
	s := c.Server
	if s == nil {
		return nil
	}
	boxes := []pageBox{{Title: "On a real API server", Hint: shorten(clean(s.line()), 2000), Lines: linesOf(s.Notes)}}
	var refused, others []string
	for _, f := range s.apart(c.Groups) {
		if f.noise() {
			continue
		}
		text := f.title() + ": " + f.head()
		for i := range f.Fields[:min(len(f.Fields), textFields)] {
			text += " " + f.Fields[i].line() + ";"
		}
		if at := f.place(); at != "" {
			text += " (" + at + ")"
		}
		if text += ", " + count(len(f.Sites), "site"); f.Kind == Refused && !f.Old {
			refused = append(refused, text)
		} else {
			others = append(others, text)
		}
	}
	if len(refused) > 0 {
		boxes = append(boxes, pageBox{Title: "Refused, without a change of its own", Alarm: true, Lines: linesOf(refused)})
	}
	if len(others) > 0 {
		boxes = append(boxes, pageBox{Title: "Said of what does not change", Lines: linesOf(others)})
	}
	return boxes
}
