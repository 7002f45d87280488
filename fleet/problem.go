package fleet

import "fmt"

// Problem is an error in a file of the fleet, made for the person who mends it.
type Problem struct {
	File string // slash-separated, in the repository
	Line int    // from 1; 0 if the whole file is meant
	Msg  string // what is wrong, lower case, no full stop
	Tip  string // what to do, or empty
	Rule Rule   // what is broken; empty where nothing lints
}

func (p *Problem) Error() string {
	if p.Line > 0 {
		return fmt.Sprintf("%s:%d: %s", p.File, p.Line, p.Msg)
	}
	return fmt.Sprintf("%s: %s", p.File, p.Msg)
}

// Hint says what a person can do about it; the command line prints it on a line of its own.
func (p *Problem) Hint() string { return p.Tip }
