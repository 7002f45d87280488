package review

import (
	"fmt"
	"html"
	"io"
	"strings"
)

// Limits of a comment; forges take 65,536 characters or more.
const (
	markdownSize   = 60_000
	markdownFields = 30
	markdownNames  = 50
	markdownFiles  = 10
)

// Markdown writes the changes as a comment on a pull request, of at most 60,000
// characters. What there is no room for is counted at the end.
func (c *Changes) Markdown(w io.Writer) error {
	var out, tail strings.Builder
	fmt.Fprintf(&out, "### Holdfast: %s\n\n", code(c.summary()))
	out.WriteString(items(c.Notes))
	out.WriteString(c.markdownServed())
	c.closing(&tail)
	room, all := markdownSize-tail.Len()-200, c.all()
	for i := range all {
		block := all[i].details(c.Server)
		if out.Len()+len(block) > room {
			fmt.Fprintf(&out, "\n**%d of %d are left out here**: run `holdfast diff` for all.\n", len(all)-i, len(all))
			break
		}
		out.WriteString(block)
	}
	_, err := io.WriteString(w, out.String()+tail.String())
	return err
}

// items is a list that leaves room for what else a comment says, however much escaping makes of it.
func items(texts []string) string {
	var b strings.Builder
	for i, text := range texts {
		item := "- " + code(shorten(text, 500)) + "\n"
		if i == markdownFields || b.Len()+len(item) > markdownSize/8 {
			fmt.Fprintf(&b, "- and %d more\n", len(texts)-i)
			break
		}
		b.WriteString(item)
	}
	return b.String()
}

// closing is what comes after the groups.
func (c *Changes) closing(b *strings.Builder) {
	if a := c.Approvals; a != nil {
		fmt.Fprintf(b, "\n**Hosts say:** %s\n", code(shorten(a.line(), 1000)))
		b.WriteString(items(a.Needs))
	}
	fmt.Fprintf(b, "\n<sub>%s</sub>\n", code(shorten(c.Base, 60)+" .. "+shorten(c.Head, 60)))
}

// details is a group that unfolds when it is clicked.
func (g *Group) details(served *Served) string {
	var b strings.Builder
	mark := ""
	if g.Danger != "" {
		mark = "⚠ "
	}
	fmt.Fprintf(&b, "\n<details><summary>%s<b>%s</b> %s: %s</summary>\n\n", mark, g.Kind, g.reach(), code(g.title()))
	for _, said := range []string{g.Danger, g.Note} {
		if said != "" {
			fmt.Fprintf(&b, "%s\n\n", code(shorten(said, 500)))
		}
	}
	b.WriteString(fence(g.Fields))
	b.WriteString(served.markdownSaid(g))
	if len(g.Causes) > 0 {
		fmt.Fprintf(&b, "because of %s\n\n", code(shorten(g.why(markdownFiles), 2000)))
	}
	fmt.Fprintf(&b, "at %s\n\n</details>\n", code(shorten(g.names(markdownNames), 4000)))
	return b.String()
}

// fence shows fields as a forge shows what is added and what is taken away.
func fence(fields []Field) string {
	if len(fields) == 0 {
		return ""
	}
	var b strings.Builder
	b.WriteString("```diff\n")
	for i := range fields[:min(len(fields), markdownFields)] {
		f := &fields[i]
		path := shorten(clean(f.Path), 300)
		if f.Old != nil {
			fmt.Fprintf(&b, "- %s: %s\n", path, f.was())
		}
		if f.New != nil {
			fmt.Fprintf(&b, "+ %s: %s\n", path, f.is())
		}
	}
	if n := len(fields) - markdownFields; n > 0 {
		fmt.Fprintf(&b, "  and %s\n", count(n, "more field"))
	}
	b.WriteString("```\n\n")
	return b.String()
}

// code keeps a forge from reading names, mentions or markup in what a repository says.
func code(text string) string {
	escaped := html.EscapeString(clean(text))
	for _, c := range "`*_[]~|\\!" {
		escaped = strings.ReplaceAll(escaped, string(c), fmt.Sprintf("&#%d;", c))
	}
	return "<code>" + escaped + "</code>"
}
