package review

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/holdfast-fleet/holdfast/fleet"
)

// Report is what is wrong with a fleet.
type Report struct {
	Fleet    string    `json:"fleet,omitempty"`
	Profiles int       `json:"profiles"` // these three of what loads
	Sites    int       `json:"sites"`
	Hosts    int       `json:"hosts"`
	Errors   int       `json:"errors"`
	Warnings int       `json:"warnings"`
	Problems []Problem `json:"problems"` // in the order of files and lines
}

// Problem is one thing that is wrong.
type Problem struct {
	Severity Severity   `json:"severity"`
	Rule     fleet.Rule `json:"rule"`
	File     string     `json:"file"`           // slash-separated, in the repository
	Line     int        `json:"line,omitempty"` // from 1; 0 if the whole file is meant
	Message  string     `json:"message"`        // lower case, no full stop
	Hint     string     `json:"hint,omitempty"` // what to do
	Sites    int        `json:"sites,omitempty"`
	Example  string     `json:"example,omitempty"` // one of the sites
}

// Severity says whether hosts take what is wrong.
type Severity string

// The severities: what is an error, hosts refuse.
const (
	Error   Severity = "error"
	Warning Severity = "warning"
)

// Text is the message, and at which sites it is so.
func (p Problem) Text() string {
	switch p.Sites {
	case 0:
		return p.Message
	case 1:
		return fmt.Sprintf("%s (site %s)", p.Message, p.Example)
	}
	return fmt.Sprintf("%s (%d sites, such as %s)", p.Message, p.Sites, p.Example)
}

// Place is file:line, or the file if all of it is meant.
func (p Problem) Place() string {
	if p.Line == 0 {
		return p.File
	}
	return fmt.Sprintf("%s:%d", p.File, p.Line)
}

// collection is what was found so far, each problem once with the sites that have it.
type collection map[fleet.Problem]*sites

type sites struct {
	count   int
	example string
}

// add takes the problems in err, and returns the errors that are none.
func (c collection) add(err error) []error {
	for _, p := range fleet.Problems(err) {
		if c[*p] == nil {
			c[*p] = &sites{}
		}
	}
	return others(err)
}

// hintOf is what an error says to do, or nothing.
func hintOf(err error) string {
	if h := interface{ Hint() string }(nil); errors.As(err, &h) {
		return h.Hint()
	}
	return ""
}

// others are the errors in err that say nothing of a file of the fleet.
func others(err error) []error {
	if err == nil {
		return nil
	}
	if list, ok := err.(interface{ Unwrap() []error }); ok {
		var out []error
		for _, e := range list.Unwrap() {
			out = append(out, others(e)...)
		}
		return out
	}
	if len(fleet.Problems(err)) > 0 {
		return nil
	}
	return []error{err}
}

// at notes that a site has a problem.
func (c collection) at(site string, found ...fleet.Problem) {
	for _, p := range found {
		if c[p] == nil {
			c[p] = &sites{}
		}
		s := c[p]
		if s.count++; s.example == "" || site < s.example {
			s.example = site
		}
	}
}

// into puts all that was found into a report.
func (c collection) into(r *Report) {
	for _, p := range slices.SortedFunc(maps.Keys(c), compareProblems) {
		of := c[p]
		if p.Tip == "" {
			p.Tip = p.Rule.Text()
		}
		found := Problem{Severity: Error, Rule: p.Rule, File: p.File, Line: p.Line, Message: p.Msg, Hint: p.Tip, Sites: of.count, Example: of.example}
		if p.Rule.Warning() {
			found.Severity = Warning
			r.Warnings++
		} else {
			r.Errors++
		}
		r.Problems = append(r.Problems, found)
	}
}

func compareProblems(a, b fleet.Problem) int {
	return cmp.Or(strings.Compare(a.File, b.File), a.Line-b.Line, strings.Compare(a.Msg, b.Msg), strings.Compare(string(a.Rule), string(b.Rule)), strings.Compare(a.Tip, b.Tip))
}
