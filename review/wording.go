package review

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"unicode"
)

// title is a change in one line.
func (c *Change) title() string {
	text := c.Object
	switch c.Kind {
	case SiteVanished, HostVanished:
		text += " is no longer listed"
	case HostRemoved:
		text += " is removed"
	case HostAdded, SiteAdded:
		text += " is new"
	case Profile:
		text = c.profiles()
	default:
		text += c.brief()
	}
	if c.From != "" {
		text += fmt.Sprintf(" (layer %s → %s)", c.From, c.Layer)
	} else if c.Layer != "" && !strings.HasPrefix(c.Object, "layer ") {
		text += " (layer " + c.Layer + ")"
	}
	return shorten(clean(text), 300)
}

// profiles says which profile follows which, and of the same one, at which pins.
func (c *Change) profiles() string {
	var old, current string
	for _, f := range c.Fields {
		old, current = strings.Trim(textOf(f.Old), `"`), strings.Trim(textOf(f.New), `"`)
	}
	name, pin, pinned := strings.Cut(old, " at ")
	if other, to, too := strings.Cut(current, " at "); pinned && too && name == other {
		return fmt.Sprintf("%s %s → %s", name, pin, to)
	}
	return old + " → " + current
}

// brief is the one field that changes, if it can be said in a few words.
func (c *Change) brief() string {
	var say *Field
	for i, f := range c.Fields {
		if strings.HasSuffix(f.Path, ".image") || f.Path == "spec.version" {
			if say != nil {
				return ""
			}
			say = &c.Fields[i]
		}
	}
	if say == nil && len(c.Fields) == 1 {
		say = &c.Fields[0]
	}
	if say == nil || say.Hidden {
		return ""
	}
	text := say.brief()
	if more := len(c.Fields) - 1; text != "" && more > 0 {
		text += " and " + count(more, "more field")
	}
	return text
}

// brief is empty if the field takes more than a few words.
func (f *Field) brief() string {
	old, current := textOf(f.Old), textOf(f.New)
	if len(old) > 300 || len(current) > 300 {
		return ""
	}
	if strings.HasSuffix(f.Path, ".image") {
		old, current = withoutDigest(old), withoutDigest(current)
		a, b := strings.LastIndexByte(old, ':'), strings.LastIndexByte(current, ':')
		if a > 0 && b > 0 && old[:a] == current[:b] && old[a:] != current[b:] {
			return fmt.Sprintf(" image %s → %s", old[a+1:], current[b+1:])
		}
	}
	if f.Old == nil || f.New == nil || len(old)+len(current) > 60 || old == current {
		return ""
	}
	return fmt.Sprintf(" %s %s → %s", lastOf(f.Path), old, current)
}

// lastOf is what a path of a field ends in: a key that is no plain word is quoted
// in it, and may have dots.
func lastOf(path string) string {
	if quoted := strings.LastIndex(path, `["`); quoted >= 0 && strings.HasSuffix(path, `"]`) {
		if key, err := strconv.Unquote(path[quoted+1 : len(path)-1]); err == nil {
			return key
		}
	}
	return path[strings.LastIndexByte(path, '.')+1:]
}

func withoutDigest(ref string) string {
	ref, _, _ = strings.Cut(ref, "@")
	return ref
}

var plainText = regexp.MustCompile(`^[\w./:@+-]+( [\w./:@+-]+)*$`)

// textOf is a value as people read it: a plain text without its quotes.
func textOf(raw json.RawMessage) string {
	var text string
	if json.Unmarshal(raw, &text) == nil && plainText.MatchString(text) {
		return text
	}
	return clean(string(raw))
}

// was and is say one side of a field.
func (f *Field) was() string { return f.side(f.Old) }
func (f *Field) is() string  { return f.side(f.New) }

func (f *Field) side(raw json.RawMessage) string {
	switch {
	case raw == nil:
		return "none"
	case f.Hidden:
		return "hidden (" + textOf(raw) + ")"
	}
	return shorten(textOf(raw), 200)
}

// line says a field in one line.
func (f *Field) line() string {
	text := fmt.Sprintf("%s: %s → %s", clean(f.Path), f.was(), f.is())
	if f.Hidden && f.Old != nil && f.New != nil {
		text = fmt.Sprintf("%s: changed (%s)", clean(f.Path), textOf(f.New))
	}
	if f.Immutable {
		text += " (cannot be changed on a live object)"
	}
	return text
}

// clean makes what comes out of a repository harmless for a terminal.
func clean(text string) string {
	var b strings.Builder
	for _, r := range text {
		if unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) || r == '\u2028' || r == '\u2029' {
			fmt.Fprintf(&b, "\\u%04x", r)
			continue
		}
		b.WriteRune(r)
	}
	return b.String()
}

func shorten(text string, most int) string {
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most/2], "") + " … " + strings.ToValidUTF8(text[len(text)-most/2:], "")
}

// reach says how many hosts and sites a group is for.
func (g *Group) reach() string {
	return reach(len(g.Hosts), len(g.Sites))
}

func reach(hosts, sites int) string {
	if hosts == 0 {
		return "no host at " + count(sites, "site")
	}
	return count(hosts, "host") + " at " + count(sites, "site")
}

func count(n int, noun string) string {
	if n != 1 {
		noun += "s"
	}
	return fmt.Sprintf("%d %s", n, noun)
}

// some lists the first names, and says how many more there are.
func some(names []string, most int) string {
	if len(names) <= most {
		return strings.Join(names, ", ")
	}
	return strings.Join(names[:most], ", ") + fmt.Sprintf(" and %d more", len(names)-most)
}

// why names the first files that explain a group, and how many more there are.
func (g *Group) why(most int) string {
	var files []string
	for _, c := range g.Causes {
		if len(c.Variables) > 0 {
			files = append(files, some(c.Variables, most)+" in "+c.File)
			continue
		}
		files = append(files, c.File)
	}
	return some(files, most)
}

// summary is all changes in one line.
func (c *Changes) summary() string {
	if n := c.Server.Refusals(); n > 0 {
		return c.changing() + "; the API server refuses " + count(n, "object")
	}
	return c.changing()
}

// changing says what changes for how many.
func (c *Changes) changing() string {
	if c.Empty() {
		return "nothing changes on any host"
	}
	if len(c.Groups) == 0 {
		return "no host renders anything else"
	}
	dangerous := 0
	for _, g := range c.Groups {
		if g.Danger != "" {
			dangerous++
		}
	}
	verb := " change"
	if c.Hosts <= 1 && c.Sites <= 1 {
		verb = " changes"
	}
	text := reach(c.Hosts, c.Sites) + verb
	if dangerous > 0 {
		text += fmt.Sprintf(", %d of %s dangerous", dangerous, count(len(c.Groups), "change"))
	}
	if len(c.Warnings) > 0 {
		text += ", " + count(len(c.Warnings), "warning")
	}
	return text
}

// names of a group, those of its hosts where their order says something.
func (g *Group) names(most int) string {
	if len(g.Hosts) > 0 && (g.Kind == Distribution || strings.HasPrefix(string(g.Kind), "host-")) {
		return some(g.Hosts, most)
	}
	return some(g.Sites, most)
}
