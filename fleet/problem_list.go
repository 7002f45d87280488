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
		if p, ok := err.(*Problem); ok { //nolint:errorlint // each error of the tree is looked at in its turn
			found = append(found, p)
			return
		}
		switch e := err.(type) { //nolint:errorlint // as above
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

// add returns the problem, which breaks the rule RuleBadValue unless that is set.
func (ps *problems) add(file string, line int, tip, format string, args ...any) *Problem {
	p := &Problem{File: file, Line: line, Msg: fmt.Sprintf(format, args...), Tip: tip, Rule: RuleBadValue}
	ps.list = append(ps.list, p)
	return p
}

func (ps *problems) addErr(err error) {
	if err != nil {
		ps.list = append(ps.list, err)
	}
}

func (ps *problems) err() error { return Join(ps.list...) }

// Join joins errors: first every [Problem] in them, once, in the order of
// [Problems], then the errors that have none. It is nil if there are none.
func Join(errs ...error) error {
	all := errors.Join(errs...)
	var joined []error
	for _, p := range Problems(all) {
		joined = append(joined, p)
	}
	return errors.Join(append(joined, others(all)...)...)
}

// others are those of the joined errors that have no [Problem].
func others(err error) []error {
	if err == nil {
		return nil
	}
	list, ok := err.(interface{ Unwrap() []error })
	switch {
	case ok:
		var out []error
		for _, inner := range list.Unwrap() {
			out = append(out, others(inner)...)
		}
		return out
	case len(Problems(err)) > 0:
		return nil
	}
	return []error{err}
}
