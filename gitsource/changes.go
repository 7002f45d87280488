package gitsource

import (
	"fmt"
	"path"
	"slices"
	"strings"

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
	old, err := s.entries(before)
	if err != nil {
		return err
	}
	current, err := s.entries(after)
	if err != nil {
		return err
	}
	for name := range merged(old, current) {
		a, b := old[name], current[name]
		if a == b {
			continue
		}
		var folderA, folderB plumbing.Hash
		changed := false
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

func (s *store) entries(tree plumbing.Hash) (map[string]entry, error) {
	byName := make(map[string]entry)
	if tree.IsZero() {
		return byName, nil
	}
	list, err := s.tree(tree)
	if err != nil {
		return nil, err
	}
	for _, e := range list {
		byName[e.name] = e
	}
	return byName, nil
}

func merged(a, b map[string]entry) map[string]bool {
	names := make(map[string]bool, len(a)+len(b))
	for name := range a {
		names[name] = true
	}
	for name := range b {
		names[name] = true
	}
	return names
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
	before, err := r.mirror.entries(known)
	if err != nil {
		return err
	}
	for _, e := range entries {
		old := before[e.name]
		switch {
		case old == e || e.mode == modeSubmodule:
		case e.mode == modeFolder && old.mode == modeFolder:
			err = r.checkFolder(depth+1, e.hash, old.hash)
		case e.mode == modeFolder:
			err = r.checkFolder(depth+1, e.hash, plumbing.ZeroHash)
		default:
			err = r.mirror.checkBlob(e.hash)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
