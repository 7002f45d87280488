package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"
)

// A screen shows steps as they go: a line each, live on a terminal.
type screen struct {
	out   io.Writer
	live  bool
	steps []shown
}

type shown struct {
	title, detail string
	took          time.Duration
}

func newScreen() *screen {
	live := term.IsTerminal(int(os.Stdout.Fd())) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
	return &screen{out: os.Stdout, live: live}
}

// step runs fn under a title. What fn returns is shown beside the tick.
func (s *screen) step(title string, fn func() (detail string, err error)) error {
	start := time.Now()
	end := s.spin(title, start)
	detail, err := fn()
	end()
	took := time.Since(start)
	mark := s.colour("32", "✓")
	if err != nil {
		mark, detail = s.colour("31", "✗"), err.Error()
	}
	fmt.Fprintf(s.out, " %s %s %s  %s\n", mark, pad(title, 58), s.colour("2", pad(seconds(took), 7)), s.colour("2", firstLine(detail)))
	if err != nil {
		return fmt.Errorf("%s: %w", title, err)
	}
	s.steps = append(s.steps, shown{title, detail, took})
	return nil
}

// spin shows that a step is under way; end clears the line.
func (s *screen) spin(title string, start time.Time) (end func()) {
	if !s.live {
		return func() {}
	}
	stop := make(chan struct{})
	var done sync.WaitGroup
	done.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				fmt.Fprint(s.out, "\r\x1b[K")
				return
			case <-time.After(100 * time.Millisecond):
				fmt.Fprintf(s.out, "\r\x1b[K %c %s \x1b[2m%s\x1b[0m", []rune("⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏")[i%10], pad(title, 58), seconds(time.Since(start)))
			}
		}
	})
	return func() { close(stop); done.Wait() }
}

// heading separates the chapters of the story.
func (s *screen) heading(text string) { fmt.Fprintf(s.out, "\n%s\n", s.colour("1", text)) }

func (s *screen) colour(code, text string) string {
	if !s.live {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

func pad(text string, width int) string {
	if n := len([]rune(text)); n < width {
		return text + strings.Repeat(" ", width-n)
	}
	return text
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.1f s", d.Seconds()) }

func firstLine(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	return line
}
