package events

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// lookEvery is how soon who follows the log sees an event.
const lookEvery = 200 * time.Millisecond

// Follow calls told for each event, those that are there first, until ctx ends or
// told returns false. Nothing need have happened yet.
func Follow(ctx context.Context, dataDir string, told func(Event) bool) error {
	f := follower{path: filepath.Join(dataDir, newerFile), told: told}
	defer f.close()
	older, err := readFile(filepath.Join(dataDir, olderFile))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if !parseAll(older, told) {
		return nil
	}
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		goOn, err := f.look()
		if !goOn || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// follower reads the newer file as it grows, and the one that takes its place.
type follower struct {
	path string
	told func(Event) bool
	file *os.File
	rest []byte // of a line that has no end yet
}

// look reads what is new, and says whether to go on.
func (f *follower) look() (bool, error) {
	for {
		if f.file == nil {
			var err error
			if f.file, err = os.Open(f.path); errors.Is(err, fs.ErrNotExist) {
				return true, nil
			} else if err != nil {
				return false, err
			}
		}
		turned := f.turned() // before the last look at it: nothing is added afterwards
		data, err := io.ReadAll(io.LimitReader(f.file, fileSize+maxLine))
		if err != nil {
			return false, err
		}
		f.rest = append(f.rest, data...)
		if end := bytes.LastIndexByte(f.rest, '\n') + 1; end > 0 {
			if !parseAll(f.rest[:end], f.told) {
				return false, nil
			}
			f.rest = bytes.Clone(f.rest[end:])
		}
		if len(f.rest) > maxLine {
			f.rest = nil
		}
		if !turned {
			return true, nil
		}
		f.close()
		f.rest = nil
	}
}

// turned tells whether another file has the name by now.
func (f *follower) turned() bool {
	now, err := os.Stat(f.path)
	if err != nil {
		return false
	}
	was, err := f.file.Stat()
	return err == nil && !os.SameFile(was, now)
}

func (f *follower) close() {
	if f.file != nil {
		f.file.Close()
		f.file = nil
	}
}
