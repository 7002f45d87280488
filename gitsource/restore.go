package gitsource

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/go-git/go-git/v5/plumbing"
)

// partedFile keeps what sources showed that part from each other: after a restart
// the one that answers first must not be believed alone.
const partedFile = "parted"

type parted struct {
	Source string            `json:"source"`
	Tip    string            `json:"tip"`
	Tags   map[string]string `json:"tags,omitempty"`
	File   bool              `json:"file,omitempty"`
}

// keepParted makes durable which candidates an alarm is about.
func (r *Repository) keepParted(list []*candidate) error {
	var all []parted
	for _, c := range list {
		if c.alarm == nil {
			continue
		}
		p := parted{c.source, c.tip.String(), make(map[string]string), c.file}
		for name, h := range c.tags {
			p.Tags[name] = h.String()
		}
		all = append(all, p)
	}
	path := filepath.Join(r.dir, partedFile)
	if len(all) == 0 {
		if r.parted == nil {
			return nil
		}
		r.parted = nil
		return r.disk.RemoveAll(path)
	}
	data, err := json.Marshal(all)
	if err != nil || bytes.Equal(data, r.parted) {
		return err
	}
	if err := r.disk.WriteFile(path, data, 0o600); err != nil {
		return fmt.Errorf("keep what sources show: %w", err)
	}
	r.parted = data
	return nil
}

// restoreParted takes what sources showed for what they show, until they are asked.
func (r *Repository) restoreParted() error {
	data, err := os.ReadFile(filepath.Join(r.dir, partedFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read what sources showed: %w", err)
	}
	r.parted = data
	var all []parted
	if err := json.Unmarshal(data, &all); err != nil {
		r.log.Warn("what sources showed cannot be read", "error", err)
		return nil
	}
	for _, p := range all {
		c := &candidate{source: p.Source, tip: plumbing.NewHash(p.Tip), tags: make(map[string]plumbing.Hash), file: p.File}
		for name, h := range p.Tags {
			c.tags[name] = plumbing.NewHash(h)
		}
		if len(c.missing(r.mirror)) > 0 {
			continue
		}
		if p.File {
			if !slices.Contains(r.bundles, filepath.Dir(p.Source)) {
				continue
			}
			r.files[p.Source] = &bundleFile{} // to be read again
		}
		r.candidates[p.Source] = c
	}
	return nil
}
