package secrets

import "fmt"

// Problem is an error in a document or in .sops.yaml, made for the person who
// mends it. It holds no secret.
type Problem struct {
	File string // as the caller named it
	Line int    // from 1; 0 if the whole file is meant
	Msg  string // what is wrong, lower case, no full stop
	Tip  string // what to do, or empty
}

func (p *Problem) Error() string {
	if p.Line > 0 {
		return fmt.Sprintf("%s:%d: %s", p.File, p.Line, p.Msg)
	}
	return fmt.Sprintf("%s: %s", p.File, p.Msg)
}

// Hint says what a person can do about it; the command line prints it on a line of its own.
func (p *Problem) Hint() string { return p.Tip }

func problemf(file string, line int, tip, format string, args ...any) error {
	return &Problem{File: file, Line: line, Msg: fmt.Sprintf(format, args...), Tip: tip}
}
