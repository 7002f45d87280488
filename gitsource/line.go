package gitsource

import (
	"bytes"
	"errors"
	"fmt"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
)

// ErrNotOnLine reports a commit that a revision does not build on: the revision
// is older, or on another line, or its history does not reach so far back.
var ErrNotOnLine = errors.New("commit is not on the line of the revision")

// Message is what one commit of the verified line says.
type Message struct {
	Commit string    // 40 hex digits
	Time   time.Time // committer's, in UTC
	Text   string
}

// Since lists what was said on the first-parent line after a commit, the newest
// first and the revision itself included. All of it was accepted with the
// revision. A commit that is not on the line is [ErrNotOnLine].
func (r Revision) Since(commit string) ([]Message, error) {
	if r.fs == nil {
		return nil, fmt.Errorf("look for commit %.12s: %w", commit, ErrNotOnLine)
	}
	base, err := parseHash(commit)
	if err != nil {
		return nil, err
	}
	var said []Message
	for at := plumbing.NewHash(r.commit); at != base; {
		c, err := r.fs.store.commit(at)
		switch {
		case errors.Is(err, errMissing), err == nil && len(c.parents) == 0:
			return nil, fmt.Errorf("look for commit %.12s before revision %s: %w", commit, r.Short(), ErrNotOnLine)
		case err != nil:
			return nil, err
		}
		said = append(said, Message{Commit: at.String(), Time: c.time, Text: c.message()})
		at = c.parents[0]
	}
	return said, nil
}

func (c *commit) message() string {
	_, message, _ := bytes.Cut(c.payload, []byte("\n\n"))
	return string(message)
}
