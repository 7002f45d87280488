package chart

import (
	"fmt"
	"path"
	"regexp"
	"strconv"
	"strings"

	"github.com/holdfast-fleet/holdfast/fleet"
)

// problem is one where the release is declared.
func (r Release) problem(tip, format string, args ...any) error {
	return &fleet.Problem{File: r.File, Line: r.Line, Msg: fmt.Sprintf(format, args...), Tip: tip, Rule: fleet.RuleChart}
}

// chartProblem is one of the chart.
func (r Release) chartProblem(tip, format string, args ...any) error {
	return &fleet.Problem{File: path.Join(r.Dir, "Chart.yaml"), Msg: fmt.Sprintf(format, args...), Tip: tip, Rule: fleet.RuleChart}
}

// fileOf finds the file that helm means by source, or the folder of the chart:
// a subchart may stand in a folder of another name, or be there under two.
func (r Release) fileOf(source string) string {
	_, name, _ := strings.Cut(source, "/")
	if _, ok := r.Files[name]; ok {
		return path.Join(r.Dir, name)
	}
	return r.Dir
}

var (
	place   = regexp.MustCompile(`([\w./@-]+/templates/[^\s:()]+):(\d+)`)
	trace   = regexp.MustCompile(`executing "[^"]*" at <.*?>: `)
	calling = regexp.MustCompile(`error calling \w+: `)
)

// templateProblem says in which line of which template the engine stopped.
func (r Release) templateProblem(err error, funcs *functions) error {
	text := oneLine(err)
	p := &fleet.Problem{File: r.File, Line: r.Line, Msg: text, Tip: funcs.tip(text), Rule: fleet.RuleChart}
	if p.Tip == "" {
		p.Tip = "\"helm template\" says the same at more length"
	}
	at := place.FindAllStringSubmatchIndex(text, -1)
	if len(at) == 0 {
		p.Msg = "release " + r.Name + ": " + text
		return p
	}
	last := at[len(at)-1]
	p.File = r.fileOf(text[last[2]:last[3]])
	p.Line, _ = strconv.Atoi(text[last[4]:last[5]])
	_, msg, _ := strings.Cut(text[last[1]:], " ")
	p.Msg = calling.ReplaceAllString(trace.ReplaceAllString(msg, ""), "")
	if p.File == r.Dir {
		p.Line, p.Msg = 0, text[last[2]:last[1]]+": "+p.Msg
	}
	p.Msg += " (release " + r.Name + ")"
	return p
}

func oneLine(err error) string { return strings.Join(strings.Fields(err.Error()), " ") }
