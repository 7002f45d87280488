package fleet

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Problems returns every [Problem] that err is made of, in the order of file,
// line and message. It is empty if err has none.
func Problems(err error) []*Problem {
	var found []*Problem
	var walk func(error)
	walk = func(err error) {
		if p, ok := err.(*Problem); ok {
			found = append(found, p)
			return
		}
		switch e := err.(type) {
		case interface{ Unwrap() []error }:
			for _, inner := range e.Unwrap() {
				walk(inner)
			}
		case interface{ Unwrap() error }:
			walk(e.Unwrap())
		}
	}
	walk(err)
	slices.SortFunc(found, compareProblems)
	return slices.CompactFunc(found, func(a, b *Problem) bool { return *a == *b })
}

func compareProblems(a, b *Problem) int {
	if c := strings.Compare(a.File, b.File); c != 0 {
		return c
	}
	if a.Line != b.Line {
		return a.Line - b.Line
	}
	return strings.Compare(a.Msg, b.Msg)
}

// problems collects what is wrong, so that a person hears of everything at once.
type problems struct{ list []error }

func (ps *problems) add(file string, line int, tip, format string, args ...any) {
	ps.list = append(ps.list, &Problem{File: file, Line: line, Msg: fmt.Sprintf(format, args...), Tip: tip})
}

func (ps *problems) addErr(err error) {
	if err != nil {
		ps.list = append(ps.list, err)
	}
}

// err joins the problems in a stable order; nil if there are none.
func (ps *problems) err() error {
	if len(ps.list) == 0 {
		return nil
	}
	var joined []error
	for _, p := range Problems(errors.Join(ps.list...)) {
		joined = append(joined, p)
	}
	for _, err := range ps.list {
		if len(Problems(err)) == 0 {
			joined = append(joined, err)
		}
	}
	return errors.Join(joined...)
}
