package gitsource

import (
	"fmt"
	"io/fs"
)

// Tree is what a commit holds, by any name that git gives it. Nobody has
// verified it: it is to be looked at, not to be acted upon.
func (a *Audit) Tree(name string) (fs.FS, error) {
	c, err := a.commit(name)
	if err != nil {
		return nil, err
	}
	return &treeFS{store: a.court.store, root: c.tree, time: c.time}, nil
}

// Changed lists the files that differ between two commits, sorted.
func (a *Audit) Changed(base, head string) ([]string, error) {
	from, err := a.commit(base)
	if err != nil {
		return nil, err
	}
	to, err := a.commit(head)
	if err != nil {
		return nil, err
	}
	paths, err := a.court.store.changes(from.tree, to.tree)
	if err != nil {
		return nil, fmt.Errorf("compare %s with %s: %w", clip(base), clip(head), shallow(err))
	}
	return paths, nil
}

// Fork is the nearest commit of head's history that is base or before it, in hex.
func (a *Audit) Fork(base, head string) (string, error) {
	from, err := a.commit(base)
	if err != nil {
		return "", err
	}
	to, err := a.commit(head)
	if err != nil {
		return "", err
	}
	c, err := a.court.store.fork(from, to)
	if err != nil {
		return "", fmt.Errorf("compare %s with %s: %w", clip(base), clip(head), shallow(err))
	}
	return c.hash.String(), nil
}
