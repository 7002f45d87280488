package main

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode"
)

// A usageError is a command line that makes no sense.
type usageError struct {
	error
	tip string
}

func usagef(format string, args ...any) usageError {
	return usageError{error: fmt.Errorf(format, args...)}
}

func (u usageError) Unwrap() error { return u.error }

// Hint says how the command is used.
func (u usageError) Hint() string { return u.tip }

// tipError is an error that somebody can do something about.
type tipError struct {
	error
	tip string
}

func (e *tipError) Unwrap() error { return e.error }

// Hint says what.
func (e *tipError) Hint() string { return e.tip }

// exitCode ends the program with a code of its own, and nothing to say.
type exitCode int

func (c exitCode) Error() string { return fmt.Sprintf("exit code %d", int(c)) }

// trouble is an error of a command whose exit code 1 says something else.
type trouble struct{ error }

func (t trouble) Unwrap() error { return t.error }

// report prints err as people read it, a line each for what is wrong and for
// what to do, and returns the exit code: 0 without an error, 2 for [trouble] and a
// command line that makes no sense, 1 for everything else. An [exitCode] is not an
// error.
func report(w io.Writer, err error) int {
	if err == nil {
		return 0
	}
	if code := exitCode(0); errors.As(err, &code) {
		return int(code)
	}
	code := 1
	var t trouble
	if errors.As(err, &t) {
		code, err = 2, t.error
	}
	for _, e := range unjoin(err) {
		fmt.Fprintf(w, "holdfast: %s\n", printable(e.Error()))
		if tip := hint(e); tip != "" {
			fmt.Fprintf(w, "hint: %s\n", printable(tip))
		}
	}
	var u usageError
	if errors.As(err, &u) {
		return 2
	}
	return code
}

func hint(err error) string {
	var h interface{ Hint() string }
	if errors.As(err, &h) {
		return h.Hint()
	}
	return ""
}

// unjoin takes apart what errors.Join made: a list, a line each. One error that
// wraps several is not a list, nor is a list that something was said before.
func unjoin(err error) []error {
	list, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return []error{err}
	}
	var lines []string
	var all []error
	for _, e := range list.Unwrap() {
		lines = append(lines, e.Error())
		all = append(all, unjoin(e)...)
	}
	if strings.Join(lines, "\n") != err.Error() {
		return []error{err}
	}
	return all
}

// printable makes one line of text: what comes out of a repository or a bundle
// must not move a terminal's cursor.
func printable(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line != "" && b.Len() > 0 {
			b.WriteString("; ")
		}
		for _, r := range line {
			switch {
			case r == '\t':
				b.WriteByte(' ')
			case unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r):
				fmt.Fprintf(&b, "\\u%04x", r)
			default:
				b.WriteRune(r)
			}
		}
	}
	return b.String()
}
