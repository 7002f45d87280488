package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/holdfast-fleet/holdfast/reconciler"
)

// printLayers says it as a tree: each layer, and of its objects those that are not
// well, or all.
func (st hostStatus) printLayers(s *sheet) {
	if len(st.Layers) == 0 {
		return
	}
	s.WriteString("layers\n")
	longest := 0
	for _, l := range st.Layers {
		longest = max(longest, width(l.Name))
	}
	for i, l := range st.Layers {
		item, below := s.tree.at(i == len(st.Layers)-1)
		since, failing := l.Since, ""
		switch {
		case l.Failing.IsZero():
		case l.State == reconciler.LayerFailed:
			since = l.Failing
		default:
			failing = s.paint(red, ", failing for "+age(st.Now.At, l.Failing))
		}
		name := printable(l.Name) + strings.Repeat(" ", longest-width(l.Name))
		state := layerState(s, l) + strings.Repeat(" ", max(0, 8-width(string(l.State))))
		s.row(item+name+"  "+state+"  ", below+"  ", fmt.Sprintf("for %s, %s%s  %s", age(st.Now.At, since), count(l.Objects, "object"), failing, s.paint(dim, short(l.Digest))))
		st.printObjects(s, l, below)
	}
}

// printObjects says what a layer's objects lack, or what the layer does.
func (st hostStatus) printObjects(s *sheet, l reconciler.LayerStatus, left string) {
	objects := slices.DeleteFunc(slices.Clone(st.Objects[l.Name]), func(o reconciler.Object) bool {
		return slices.ContainsFunc(l.Troubles, func(t reconciler.Trouble) bool { return t.Object == o })
	})
	if len(l.Troubles) == 0 && l.Message != "" {
		for line := range strings.Lines(strings.TrimSpace(l.Message)) {
			s.row(left, left, printable(line))
		}
	}
	for i, t := range l.Troubles {
		item, below := s.tree.at(i == len(l.Troubles)-1 && l.More == 0 && len(objects) == 0)
		likewise := ""
		if i > 0 && t.Why == l.Troubles[i-1].Why && t.Hint == l.Troubles[i-1].Hint {
			likewise = ", likewise"
		}
		s.row(left+item, left+below, fmt.Sprintf("%s  %s for %s%s", printable(t.String()), s.paint(red, printable(t.State)), age(st.Now.At, t.Since), likewise))
		if likewise != "" {
			continue
		}
		s.row(left+below, left+below, printable(t.Why))
		if t.Hint != "" {
			s.row(left+below, left+below, "hint: "+printable(t.Hint))
		}
	}
	if l.More > 0 {
		item, _ := s.tree.at(len(objects) == 0)
		s.row(left+item, left, fmt.Sprintf("%d more", l.More))
	}
	for i, o := range objects {
		item, below := s.tree.at(i == len(objects)-1)
		s.row(left+item, left+below, printable(o.String()))
	}
}

func layerState(s *sheet, l reconciler.LayerStatus) string {
	code := yellow
	switch l.State {
	case reconciler.LayerReady:
		code = green
	case reconciler.LayerFailed, reconciler.LayerBlocked:
		code = red
	}
	return s.paint(code, string(l.State))
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
