package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/holdfast-fleet/holdfast/fleet"
	"github.com/holdfast-fleet/holdfast/render"
)

// print says it in lines of a file, a line and what is there.
func (e *explainedObject) print(w io.Writer) error {
	pinned := ""
	if e.Pin != nil {
		pinned = fmt.Sprintf(" at %s (%.12s)", e.Pin.Tag, e.Pin.Commit)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s, layer %s of site %s\n", printable(e.Object), e.Layer, e.Site)
	block(&b, "profile", []string{fmt.Sprintf("%s%s  named in %s", e.Profile, pinned, e.ChosenIn)}, asItIs)
	block(&b, "from", append([]string{place(e.Origin)}, saidOf(e.Through, stepLine)...), asItIs)
	block(&b, "made what it is by", e.Steps, stepLine)
	block(&b, "variables", e.Variables, explainedVariable.String)
	block(&b, "images", e.Images, explainedImage.String)
	block(&b, "last commits", e.Commits, fileCommit.String)
	_, err := io.WriteString(w, b.String())
	return err
}

func asItIs(text string) string { return text }

// block writes what there is of a kind below its title, a line each.
func block[T any](b *strings.Builder, title string, list []T, say func(T) string) {
	if len(list) > 0 {
		fmt.Fprintf(b, "\n%s\n", title)
	}
	for _, line := range saidOf(list, say) {
		fmt.Fprintf(b, "  %s\n", printable(line))
	}
}

func saidOf[T any](list []T, say func(T) string) []string {
	out := make([]string, len(list))
	for i, item := range list {
		out[i] = say(item)
	}
	return out
}

func place(p fleet.Position) string {
	if p.Line == 0 {
		return p.File
	}
	return fmt.Sprintf("%s:%d", p.File, p.Line)
}

func stepLine(s render.Step) string {
	text := fmt.Sprintf("%s:%d  %s", s.File, s.Line, s.Field)
	if s.Value != "" {
		text += ": " + s.Value
	}
	if len(s.Files) > 0 && s.Field != "resources" && s.Field != "bases" {
		text += " (" + strings.Join(s.Files, ", ") + ")"
	}
	return text
}

func (v explainedVariable) String() string {
	value := fmt.Sprint(v.Value)
	switch text := v.Value.(type) {
	case string:
		value = fmt.Sprintf("%q", text)
	case nil:
		return fmt.Sprintf("%s has no value; declared in %s; the default stands where it is used", v.Name, place(v.Declared))
	}
	if v.Set == nil {
		return fmt.Sprintf("%s = %s  the default in %s", v.Name, value, place(v.Declared))
	}
	return fmt.Sprintf("%s = %s  set in %s, declared in %s", v.Name, value, place(*v.Set), place(v.Declared))
}

func (i explainedImage) String() string {
	switch {
	case i.Digest == "":
		return i.Image + "  has no digest: run holdfast lock"
	case i.Locked != nil:
		return fmt.Sprintf("%s  %s in %s", i.Image, i.Digest, place(*i.Locked))
	}
	return i.Image
}
