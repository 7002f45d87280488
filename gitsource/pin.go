package gitsource

import (
	"crypto/sha256"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"github.com/go-git/go-git/v5/plumbing"

	"github.com/holdfast-fleet/holdfast/durable"
)

// Pins finds the trees that pins of a revision name.
type Pins struct {
	tip   plumbing.Hash
	mu    sync.Locker
	court func() *court
	kept  string // folder of tags that were good before; empty: none is kept
	line  map[plumbing.Hash]bool
}

// Pins finds what the pins of a revision name, offline too once it was found.
func (r *Repository) Pins(rev Revision) *Pins {
	return &Pins{tip: plumbing.NewHash(rev.commit), mu: &r.mu, court: r.court, kept: filepath.Join(r.dir, "pins")}
}

// Pins finds what the pins of a commit name, by any name that git gives it.
func (a *Audit) Pins(name string) (*Pins, error) {
	tip, err := a.Resolve(name)
	if err != nil {
		return nil, err
	}
	return &Pins{tip: plumbing.NewHash(tip), mu: new(sync.Mutex), court: func() *court { return a.court }}, nil
}

// At returns the tree of a commit that a tag of that name names. The commit must
// be on the first-parent line of the revision, and the tag signed by somebody
// whom the revision trusts, or whom that commit does.
func (p *Pins) At(name, commit string) (fs.FS, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	h, err := parseHash(commit)
	if err != nil {
		return nil, err
	}
	court := p.court()
	if err := p.onLine(court.store, h); err != nil {
		return nil, err
	}
	c, err := court.store.commit(h)
	if err != nil {
		return nil, shallow(err)
	}
	if err := p.signed(court, c, name); err != nil {
		return nil, err
	}
	return &treeFS{store: court.store, root: c.tree, time: c.time}, nil
}

func (p *Pins) onLine(s *store, h plumbing.Hash) error {
	if p.line == nil {
		line := make(map[plumbing.Hash]bool)
		for at := p.tip; ; {
			line[at] = true
			c, err := s.commit(at)
			if err != nil {
				return shallow(err)
			}
			if len(c.parents) == 0 {
				break
			}
			at = c.parents[0]
		}
		p.line = line
	}
	if !p.line[h] {
		return &hinted{fmt.Errorf("commit %.12s is not on the line of the revision", h), "pin a commit of the branch that hosts follow: git log --first-parent"}
	}
	return nil
}

// signed checks the tag. One that is not good is reported with its reason.
func (p *Pins) signed(court *court, c *commit, name string) error {
	var candidates []*tag
	for _, t := range court.tags.list {
		if t.name == name && t.target == c.hash {
			candidates = append(candidates, t)
		}
	}
	if t := p.recall(name, c.hash); t != nil {
		candidates = append(candidates, t)
	}
	reason := error(&hinted{fmt.Errorf("no signed tag %s names commit %.12s", name, c.hash), "git tag -s " + name + " " + c.hash.String()[:12] + ", and push the tag"})
	for _, t := range candidates {
		if reason = court.vouchesFor(p.tip, c, t); reason == nil {
			p.keep(t)
			return nil
		}
		if isDamage(reason) {
			return reason
		}
	}
	return reason
}

// vouchesFor checks the signature of a tag by the keys of the tip, or else of the
// commit that it names: who tags it is trusted now, or was then.
func (j *court) vouchesFor(tip plumbing.Hash, c *commit, t *tag) error {
	newest, err := j.store.commit(tip)
	if err != nil {
		return err
	}
	var last error
	for _, tree := range []plumbing.Hash{newest.tree, c.tree} {
		folder, err := j.trustOf(tree)
		if err != nil {
			last = err
			continue
		}
		if _, last = folder.keys.Verify(t.payload, t.signature, latest(t.time, c.time)); last == nil {
			return nil
		}
	}
	return fmt.Errorf("tag %s: %w", t.name, last)
}

// file is where a good tag is kept, so that a host that starts without a network finds it.
func (p *Pins) file(name string, target plumbing.Hash) string {
	return filepath.Join(p.kept, fmt.Sprintf("%x", sha256.Sum256([]byte(target.String()+name))))
}

func (p *Pins) keep(t *tag) {
	if p.kept == "" {
		return
	}
	file := p.file(t.name, t.target)
	if _, err := os.Stat(file); err == nil {
		return
	}
	if err := os.MkdirAll(p.kept, 0o700); err == nil {
		_ = durable.WriteFile(file, slices.Concat(t.payload, t.signature), 0o600) // without it the next start waits for a source
	}
}

// recall reads a tag that was kept. It is judged again like any other.
func (p *Pins) recall(name string, target plumbing.Hash) *tag {
	if p.kept == "" {
		return nil
	}
	info, err := os.Stat(p.file(name, target))
	if err != nil || info.Size() > maxTagSize {
		return nil
	}
	raw, err := os.ReadFile(p.file(name, target))
	if err != nil {
		return nil
	}
	t, err := parseTag(plumbing.ZeroHash, raw)
	if err != nil || t.name != name || t.target != target {
		return nil
	}
	return t
}
