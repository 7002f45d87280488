// Package events is what happened on a host and why, in a log of bounded size that
// survives restarts: what the agent's own log says, an event a line.
package events

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"
	"unicode/utf8"
)

// The files of the log, in the agent's data folder. What does not fit into the
// newer one replaces the older.
const (
	newerFile = "events.jsonl"
	olderFile = "events.old.jsonl"
)

const (
	fileSize = 512 << 10 // bytes of each of the two files
	maxLine  = 8 << 10   // bytes of an event
	maxFact  = 2 << 10   // bytes of one fact; less if there are many
)

// Event is one thing that happened.
type Event struct {
	At      time.Time         `json:"at"`
	What    string            `json:"what"` // as the agent's log has it: "layer applied"
	Warning bool              `json:"warning,omitempty"`
	Facts   map[string]string `json:"facts,omitempty"` // of which layer, which object, why
}

// line is the event as it stands in the log.
func (e Event) line() ([]byte, error) {
	for limit := maxFact; ; limit /= 2 {
		facts := make(map[string]string, len(e.Facts))
		for name, value := range e.Facts {
			facts[name] = cut(value, limit)
		}
		cutDown := e
		cutDown.What, cutDown.Facts = cut(e.What, limit), facts
		data, err := json.Marshal(cutDown)
		if err != nil {
			return nil, err
		}
		if len(data) < maxLine {
			return append(data, '\n'), nil
		}
		if limit == 0 {
			return nil, errors.New("an event with too many facts")
		}
	}
}

// cut shortens text to some bytes, between two letters.
func cut(text string, most int) string {
	if len(text) <= most {
		return text
	}
	for most > 0 && !utf8.RuneStart(text[most]) {
		most--
	}
	return text[:most] + "…"
}

// parse reads a line; one that is torn, or none of ours, is no event.
func parse(line []byte) (Event, bool) {
	var e Event
	if len(line) > maxLine || json.Unmarshal(line, &e) != nil || e.What == "" || e.At.IsZero() {
		return Event{}, false
	}
	return e, true
}

// parseAll reads whole lines.
func parseAll(data []byte, yield func(Event) bool) bool {
	for line := range bytes.Lines(data) {
		if e, ok := parse(line); ok && !yield(e) {
			return false
		}
	}
	return true
}

// Read returns the events in an agent's data folder, the oldest first. Its error
// is [fs.ErrNotExist] if nothing has ever happened there.
func Read(dataDir string) ([]Event, error) {
	var list []Event
	found := false
	for _, name := range []string{olderFile, newerFile} {
		data, err := readFile(filepath.Join(dataDir, name))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("read events: %w", err)
		}
		found = true
		parseAll(data, func(e Event) bool { list = append(list, e); return true })
	}
	if !found {
		return nil, fmt.Errorf("read events: %w", fs.ErrNotExist)
	}
	return list, nil
}

// readFile reads no more than a file of the log may have.
func readFile(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return io.ReadAll(io.LimitReader(file, fileSize+maxLine))
}
