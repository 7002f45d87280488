package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"unicode/utf8"

	"golang.org/x/sys/unix"
)

// screen is the terminal that text goes to; without rows there is none.
type screen struct{ rows, columns int }

func screenOf(w io.Writer) screen {
	file, ok := w.(*os.File)
	if !ok {
		return screen{}
	}
	size, err := unix.IoctlGetWinsize(int(file.Fd()), unix.TIOCGWINSZ)
	if err != nil {
		return screen{}
	}
	s := screen{int(size.Row), int(size.Col)}
	if s.rows == 0 {
		s.rows = 24
	}
	if s.columns == 0 {
		s.columns = 80
	}
	return s
}

// colour is as https://no-color.org says.
func (s screen) colour() bool {
	return s.rows > 0 && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
}

// The colours of what people see: good, bad, to be looked at, and beside the point.
const (
	green  = "32"
	red    = "31"
	yellow = "33"
	dim    = "2"
)

// A sheet is text for people: coloured and wrapped if it goes to a terminal.
type sheet struct {
	strings.Builder
	screen
	tree branches
}

func newSheet(w io.Writer) *sheet {
	return &sheet{screen: screenOf(w), tree: branchesOf(os.Getenv)}
}

func (s *sheet) paint(code, text string) string {
	if !s.colour() || code == "" || text == "" {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

// row writes text after what stands left of it, and what is too long for the
// terminal below, after rest.
func (s *sheet) row(left, rest, text string) {
	s.WriteString(left)
	at := width(left)
	words := strings.Split(text, " ")
	for i, word := range words {
		w := width(word)
		switch {
		case i == 0:
		case word == "" && s.columns > 0 && at+1 >= s.columns:
			continue
		case word != "" && s.columns > 0 && at+1+w > s.columns && at > width(rest):
			s.WriteString("\n" + rest)
			at = width(rest)
		default:
			s.WriteByte(' ')
			at++
		}
		s.WriteString(word)
		at += w
	}
	s.WriteByte('\n')
}

// fact is a row below others with a name before it, which may be empty.
func (s *sheet) fact(name, code, text string) {
	s.row(s.paint(code, fmt.Sprintf("%-10s", name))+" ", strings.Repeat(" ", 11), text)
}

// width counts what is seen of a text.
func width(text string) int {
	n := 0
	for text != "" {
		if strings.HasPrefix(text, "\x1b[") {
			if end := strings.IndexByte(text, 'm'); end > 0 {
				text = text[end+1:]
				continue
			}
		}
		_, size := utf8.DecodeRuneInString(text)
		text = text[size:]
		n++
	}
	return n
}

// branches are the lines of a tree.
type branches struct{ fork, last, bar string }

// branchesOf are such as the locale can show.
func branchesOf(env func(string) string) branches {
	for _, name := range []string{"LC_ALL", "LC_CTYPE", "LANG"} {
		if locale := strings.ToUpper(env(name)); locale != "" {
			if strings.Contains(locale, "UTF-8") || strings.Contains(locale, "UTF8") {
				return branches{"├─ ", "└─ ", "│  "}
			}
			break
		}
	}
	return branches{"|- ", "`- ", "|  "}
}

// at returns what stands left of an item of a list, and of what is below it.
func (b branches) at(last bool) (item, below string) {
	if last {
		return b.last, "   "
	}
	return b.fork, b.bar
}
