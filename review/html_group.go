package review

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"strings"
)

// pageGroup is a change as the page shows it.
type pageGroup struct {
	ID, Colour, Title, Reach  string
	Kind, Layer, Danger, Note string
	Fields                    []pageField
	More                      string
	Causes                    []pageCause
	MoreCauses                string
	Server                    []pageFinding
	Names                     []pageList
}

// pageField is a field; Old and New are empty where there was nothing.
type pageField struct{ Path, Said, Old, New string }

// pageCause is a file, and what more there is to say of it.
type pageCause struct{ File, Said string }

type pageList struct {
	Of, Title, List string
	Total           int
}

func newPageGroup(g *Group) *pageGroup {
	out := &pageGroup{
		ID: g.anchor(), Colour: colourOf(g.Kind), Title: g.title(), Reach: g.reach(),
		Kind: string(g.Kind), Layer: shorten(clean(g.Layer), 100), Danger: shorten(clean(g.Danger), 500), Note: shorten(clean(g.Note), 500),
	}
	for i := range g.Fields[:min(len(g.Fields), pageFields)] {
		out.Fields = append(out.Fields, newPageField(&g.Fields[i]))
	}
	if n := len(g.Fields) - pageFields; n > 0 {
		out.More = fmt.Sprintf("and %s (holdfast diff -o json has all)", count(n, "more field"))
	}
	for _, c := range g.Causes[:min(len(g.Causes), pageSome)] {
		out.Causes = append(out.Causes, pageCause{shorten(clean(c.File), 300), c.said(len(g.Sites))})
	}
	if n := len(g.Causes) - pageSome; n > 0 {
		out.MoreCauses = fmt.Sprintf("and %s (holdfast diff -o json has all)", count(n, "more file"))
	}
	out.Names = append(out.Names, pageList{"sites", count(len(g.Sites), "site"), someNames(g.Sites), len(g.Sites)})
	if len(g.Hosts) > 0 {
		title := count(len(g.Hosts), "host")
		if g.Kind == Distribution && len(g.Hosts) > 1 {
			title += ", at each site in this order"
		}
		out.Names = append(out.Names, pageList{"hosts", title, someNames(g.Hosts), len(g.Hosts)})
	}
	return out
}

// said is which variables matter, and for how many of the sites.
func (c *Cause) said(sites int) string {
	var parts []string
	if len(c.Variables) > 0 {
		parts = append(parts, shorten(clean(some(c.Variables, pageSome)), 300))
	}
	if c.Sites < sites {
		parts = append(parts, "for "+count(c.Sites, "site"))
	}
	return strings.Join(parts, ", ")
}

// anchor is the same for the same change, on every page.
func (c *Change) anchor() string {
	data, err := json.Marshal(c)
	if err != nil {
		data = []byte(c.Object) // a change is texts and JSON
	}
	return fmt.Sprintf("c-%.6x", sha256.Sum256(data))
}

func newPageField(f *Field) pageField {
	out := pageField{Path: shorten(clean(f.Path), 300)}
	if f.Immutable {
		out.Said = "cannot be changed on a live object"
	}
	if f.Hidden {
		switch {
		case f.Old != nil && f.New != nil:
			out.Said = fmt.Sprintf("changed, hidden (%s)", textOf(f.New))
			return out
		case f.New == nil:
			out.Old = f.was()
		default:
			out.New = f.is()
		}
		return out
	}
	old, current := textLines(f.Old), textLines(f.New)
	skipEqual(&old, &current)
	out.Old, out.New = strings.Join(old, "\n"), strings.Join(current, "\n")
	return out
}

// textLines is a value as it is read, a long text line by line.
func textLines(raw json.RawMessage) []string {
	if raw == nil {
		return nil
	}
	var text string
	if json.Unmarshal(raw, &text) != nil || !strings.Contains(strings.TrimSuffix(text, "\n"), "\n") {
		return []string{textOf(raw)}
	}
	out := strings.Split(text, "\n")
	for i, line := range out {
		out[i] = clean(strings.ReplaceAll(line, "\t", "    "))
	}
	return out
}

// skipEqual leaves out the lines that two texts begin and end with, but for two.
func skipEqual(a, b *[]string) {
	if len(*a) == 0 || len(*b) == 0 {
		return
	}
	same, short := 0, min(len(*a), len(*b))
	for same < short && (*a)[same] == (*b)[same] {
		same++
	}
	tail := 0
	for tail < short-same && (*a)[len(*a)-1-tail] == (*b)[len(*b)-1-tail] {
		tail++
	}
	for _, list := range []*[]string{a, b} {
		out := (*list)[:len(*list)-max(0, tail-2)]
		if tail > 2 {
			out = append(out[:len(out):len(out)], fmt.Sprintf("… %s alike", count(tail-2, "line")))
		}
		if same > 2 {
			out = append([]string{fmt.Sprintf("… %s alike", count(same-2, "line"))}, out[same-2:]...)
		}
		*list = out
	}
}
