package gitsource

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/go-git/go-git/v5/plumbing"

	"github.com/holdfast-fleet/holdfast/trust"
)

// ErrNothing reports a host that has accepted no revision yet, or lost its mirror.
var ErrNothing = errors.New("no accepted revision is here")

// Look returns what was accepted into a state folder, for reading alone: another
// process may work in it. Of the options, Dir and Second count. It is closed after use.
func Look(o Options) (*Repository, error) {
	o.Log = slog.New(slog.DiscardHandler)
	floor, _, err := o.floorFiles().look()
	dir := filepath.Join(o.Dir, mirrorFolder)
	_, lost := os.Stat(filepath.Join(dir, "objects"))
	switch {
	case err != nil:
		return nil, fmt.Errorf("look into %s: %w", o.Dir, err)
	case floor == nil, lost != nil:
		return nil, fmt.Errorf("look into %s: %w", o.Dir, ErrNothing)
	}
	r := &Repository{
		dir: o.Dir, anchor: new(trust.Keyring), floor: floor, mirror: &store{dir: dir}, log: o.Log,
		trusts: make(map[plumbing.Hash]*trustFolder), candidates: make(map[string]*candidate),
	}
	r.mirror.open()
	return r, nil
}

// FileChange is the newest commit on the line to a revision that changed a file.
type FileChange struct {
	File    string
	Commit  string // 40 hex digits
	Time    time.Time
	Author  string // name, as the commit claims
	Subject string // first line of the message
	Signer  string // whom its signature is of; empty if others vouch for it
}

// maxLook is how many commits are looked through for the last change of a file.
const maxLook = 5000

// LastChanges finds who changed files last. Files whose last change is too far
// back, or that are not there, are left out.
func (r *Repository) LastChanges(rev Revision, files []string) ([]FileChange, error) {
	if rev.fs == nil {
		return nil, nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	c, err := r.mirror.commit(plumbing.NewHash(rev.commit))
	if err != nil {
		return nil, err
	}
	var found []FileChange
	for left, n := files, 0; len(left) > 0 && n < maxLook; n++ {
		var parent *commit
		below := emptyTree
		if len(c.parents) > 0 {
			if parent, err = r.mirror.commit(c.parents[0]); err != nil {
				return found, nil //nolint:nilerr // history ends here
			}
			below = func(file string) string { return r.digestOf(parent, file) }
		}
		var still []string
		for _, file := range left {
			switch now := r.digestOf(c, file); {
			case now == "":
			case now == below(file):
				still = append(still, file)
			default:
				found = append(found, r.changeOf(c, parent, file))
			}
		}
		left = still
		if c = parent; c == nil {
			break
		}
	}
	return found, nil
}

func emptyTree(string) string { return "" }

// digestOf names the bytes of a file at a commit; empty if it is not there.
func (r *Repository) digestOf(c *commit, file string) string {
	digest, err := (&treeFS{store: r.mirror, root: c.tree}).Digest(file)
	if err != nil {
		return ""
	}
	return digest
}

func (r *Repository) changeOf(c, parent *commit, file string) FileChange {
	f := FileChange{File: file, Commit: c.hash.String(), Time: c.time, Author: c.author(), Subject: c.subject()}
	if parent == nil {
		parent = c
	}
	folder, err := r.court().trustOf(parent.tree)
	if err != nil || len(c.signature) == 0 {
		return f
	}
	if signer, err := folder.keys.Verify(c.payload, c.signature, c.time); err == nil {
		f.Signer = signer.Name
	}
	return f
}

// author is the name of who wrote the commit, as it claims.
func (c *commit) author() string {
	for line := range strings.Lines(string(c.payload)) {
		if rest, is := strings.CutPrefix(line, "author "); is {
			name, _, _ := strings.Cut(rest, " <")
			return name
		}
		if line == "\n" {
			break
		}
	}
	return ""
}
