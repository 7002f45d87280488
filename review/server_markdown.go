package review

import (
	"fmt"
	"strings"
)

// markdownServed is what API servers said of all, and of what no change is about.
func (c *Changes) markdownServed() string {
	s := c.Server
	if s == nil {
		return ""
	}
	var b strings.Builder
	fmt.Fprintf(&b, "\n%s\n", code(shorten(s.line(), 1000)))
	b.WriteString(items(s.Notes))
	list := s.apart(c.Groups)
	for i, f := range list {
		if f.noise() {
			continue
		}
		block := f.details()
		if b.Len()+len(block) > markdownSize/3 {
			fmt.Fprintf(&b, "\nand %s (`holdfast diff --server` has all)\n", count(len(list)-i, "more finding"))
			break
		}
		b.WriteString(block)
	}
	return b.String()
}

// details is a finding that unfolds when it is clicked.
func (f *Finding) details() string {
	return fmt.Sprintf("\n<details%s><summary>%s<b>%s</b> %s: %s</summary>\n\n%sat %s\n\n</details>\n",
		f.open(), f.mark(), f.Kind, count(len(f.Sites), "site"), code(shorten(f.title(), 300)),
		f.markdown(f.Fields), code(shorten(some(f.Sites, markdownNames), 4000)))
}

func (f *Finding) open() string {
	if f.Kind == Refused && !f.Old {
		return " open"
	}
	return ""
}

func (f *Finding) mark() string {
	if f.Kind == Refused && !f.Old {
		return "⚠ "
	}
	return ""
}

// markdownSaid is what API servers said of a change.
func (s *Served) markdownSaid(g *Group) string {
	var b strings.Builder
	list := s.of(g)
	for i, f := range list {
		if i == markdownFields {
			fmt.Fprintf(&b, "and %s\n\n", count(len(list)-i, "more finding"))
			break
		}
		fields := beyond(f.Fields, g.Fields)
		if !f.noise() && (f.Kind != Live || len(fields) > 0) {
			b.WriteString(f.markdown(fields))
		}
	}
	return b.String()
}

func (f *Finding) markdown(fields []Field) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s%s\n", f.mark(), code(shorten(f.head(), 1000)))
	if at := f.place(); at != "" {
		fmt.Fprintf(&b, "in %s\n", code(shorten(at, 300)))
	}
	if f.Hint != "" {
		fmt.Fprintf(&b, "hint: %s\n", code(shorten(f.Hint, 300)))
	}
	b.WriteString("\n" + fence(fields))
	return b.String()
}
