package gitsource

import (
	"cmp"
	"fmt"
	"iter"
	"path"
	"slices"
	"strings"
	"sync"

	"github.com/go-git/go-git/v5/plumbing"
)

// changes lists the paths that differ between two trees, those of files only.
func (s *store) changes(before, after plumbing.Hash) ([]string, error) {
	var paths []string
	if err := s.diff("", before, after, &paths); err != nil {
		return nil, err
	}
	slices.Sort(paths)
	return paths, nil
}

// diff compares two folders of the same path; a zero hash is an empty one.
func (s *store) diff(at string, before, after plumbing.Hash, paths *[]string) error {
	if before == after {
		return nil
	}
	if strings.Count(at, "/") >= maxDepth {
		return &hinted{fmt.Errorf("changes %s, which is deeper than %d folders", clip(at), maxDepth), "move it up"}
	}
	old, err := s.trees.read(s, before)
	if err != nil {
		return err
	}
	current, err := s.trees.read(s, after)
	if err != nil {
		return err
	}
	for a, b := range pairs(old, current) {
		var folderA, folderB plumbing.Hash
		name, changed := cmp.Or(a.name, b.name), false
		if a.mode == modeFolder {
			folderA = a.hash
		} else if a.name != "" {
			changed = true
		}
		if b.mode == modeFolder {
			folderB = b.hash
		} else if b.name != "" {
			changed = true
		}
		if changed {
			*paths = append(*paths, path.Join(at, name))
		}
		if err := s.diff(path.Join(at, name), folderA, folderB, paths); err != nil {
			return err
		}
	}
	return nil
}

// pairs yields what differs between two folders, in their order: a folder and
// what is no folder are never a pair. What is only in one has none beside it.
func pairs(old, current []entry) iter.Seq2[entry, entry] {
	return func(yield func(a, b entry) bool) {
		for len(old)+len(current) > 0 {
			order := 0
			switch {
			case len(old) == 0:
				order = 1
			case len(current) == 0:
				order = -1
			case old[0] != current[0]:
				order = old[0].compare(current[0])
			}
			var a, b entry
			if order <= 0 {
				a, old = old[0], old[1:]
			}
			if order >= 0 {
				b, current = current[0], current[1:]
			}
			if a != b && !yield(a, b) {
				return
			}
		}
	}
}

// treeCache keeps trees that were read, of maxCachedEntries together. Its zero
// value is empty.
type treeCache struct {
	mu    sync.Mutex
	trees map[plumbing.Hash][]entry
	size  int
}

const maxCachedEntries = 32 << 10

// read returns a tree of s; the zero hash is an empty one.
func (c *treeCache) read(s *store, h plumbing.Hash) ([]entry, error) {
	if h.IsZero() {
		return nil, nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if entries, ok := c.trees[h]; ok {
		return entries, nil
	}
	entries, err := s.tree(h)
	if err != nil {
		return nil, err
	}
	if c.size += len(entries); c.trees == nil || c.size > maxCachedEntries {
		c.trees, c.size = make(map[plumbing.Hash][]entry), len(entries)
	}
	c.trees[h] = entries
	return entries, nil
}

// checkTree reads every byte of a commit's tree that was not read since the
// start, so that damage on disk is found now and not when it is needed.
func (r *Repository) checkTree(c, tree plumbing.Hash) error {
	if _, err := r.mirror.commit(c); err != nil {
		return err
	}
	if err := r.checkFolder(0, tree, r.checked); err != nil {
		return err
	}
	r.checked = tree
	return nil
}

func (r *Repository) checkFolder(depth int, tree, known plumbing.Hash) error {
	if tree == known || depth > maxDepth {
		return nil
	}
	entries, err := r.mirror.tree(tree)
	if err != nil {
		return err
	}
	var before []entry
	if !known.IsZero() {
		if before, err = r.mirror.tree(known); err != nil {
			return err
		}
	}
	for old, e := range pairs(before, entries) {
		switch {
		case e.name == "" || e.mode == modeSubmodule:
		case e.mode == modeFolder:
			err = r.checkFolder(depth+1, e.hash, old.hash)
		default:
			err = r.mirror.checkBlob(e.hash)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
