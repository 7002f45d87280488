package gitsource

import (
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/go-git/go-git/v5/plumbing"

	"github.com/holdfast-fleet/holdfast/trust"
)

const (
	trustPath  = "trust"
	policyName = "policy.yaml"
)

// trustFolder is the trust folder of a tree, read.
type trustFolder struct {
	keys   *trust.Keyring
	policy *trust.Policy // nil: every key may change everything
}

// vouched decides about one commit by the trust folder of its parent's tree.
// No commit is judged at a time before bound.
func (r *Repository) vouched(c *commit, parentTree plumbing.Hash, bound time.Time) (trust.Signer, error) {
	folder, err := r.trustOf(parentTree)
	if err != nil {
		return trust.Signer{}, err
	}
	signer, err := folder.keys.Verify(c.payload, c.signature, latest(c.time, bound))
	if err != nil {
		return trust.Signer{}, err
	}
	if folder.policy != nil {
		paths, err := r.changes(parentTree, c.tree)
		if err != nil {
			return trust.Signer{}, err
		}
		if err := folder.policy.Check(signer, paths); err != nil {
			return trust.Signer{}, err
		}
	}
	return signer, r.loads(c.tree)
}

// loads makes sure that what follows a commit can be judged: a trust folder that
// does not load, or a rule that nobody can satisfy, would stop the fleet for good.
func (r *Repository) loads(tree plumbing.Hash) error {
	folder, err := r.trustOf(tree)
	if err != nil {
		return err
	}
	if folder.policy != nil {
		return folder.policy.Satisfiable(folder.keys)
	}
	return nil
}

// trustOf reads the trust folder of a tree. Without a key in it, the anchor's vouch.
func (r *Repository) trustOf(tree plumbing.Hash) (*trustFolder, error) {
	entries, err := r.mirror.tree(tree)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		if e.name != trustPath {
			continue
		}
		if e.mode != modeFolder {
			return nil, &trust.Problem{File: trustPath, Msg: "is not a folder"}
		}
		if known := r.trusts[e.hash]; known != nil {
			return known, nil
		}
		folder, err := r.readTrust(e.hash)
		if err != nil {
			return nil, err
		}
		r.trusts = map[plumbing.Hash]*trustFolder{e.hash: folder}
		return folder, nil
	}
	return &trustFolder{keys: r.anchor}, nil
}

func (r *Repository) readTrust(tree plumbing.Hash) (*trustFolder, error) {
	entries, err := r.mirror.tree(tree)
	if err != nil {
		return nil, err
	}
	folder, files := &trustFolder{}, make(map[string][]byte)
	for _, e := range entries {
		name := path.Join(trustPath, e.name)
		if e.name != policyName && e.name != "allowed_signers" && !strings.HasSuffix(e.name, ".asc") {
			continue
		}
		if e.mode != modeFile && e.mode != modeExecutable {
			return nil, &trust.Problem{File: name, Msg: "is not a regular file"}
		}
		data, err := r.mirror.read(e.hash, plumbing.BlobObject, maxFile)
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", name, err)
		}
		if e.name != policyName {
			files[name] = data
			continue
		}
		if folder.policy, err = trust.ParsePolicy(name, data); err != nil {
			return nil, err
		}
	}
	if folder.keys, err = trust.ParseKeyring(files); err != nil {
		return nil, err
	}
	if folder.keys.Len() == 0 {
		folder.keys = r.anchor
	}
	return folder, nil
}

// changes lists the paths that differ between two trees, those of files only.
func (r *Repository) changes(before, after plumbing.Hash) ([]string, error) {
	var paths []string
	if err := r.diff("", before, after, &paths); err != nil {
		return nil, err
	}
	slices.Sort(paths)
	return paths, nil
}

// diff compares two folders of the same path; a zero hash is an empty one.
func (r *Repository) diff(at string, before, after plumbing.Hash, paths *[]string) error {
	if before == after {
		return nil
	}
	if strings.Count(at, "/") >= maxDepth {
		return fmt.Errorf("changes %s, which is deeper than %d folders", clip(at), maxDepth)
	}
	old, err := r.entries(before)
	if err != nil {
		return err
	}
	current, err := r.entries(after)
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
		if err := r.diff(path.Join(at, name), folderA, folderB, paths); err != nil {
			return err
		}
	}
	return nil
}

func (r *Repository) entries(tree plumbing.Hash) (map[string]entry, error) {
	byName := make(map[string]entry)
	if tree.IsZero() {
		return byName, nil
	}
	list, err := r.mirror.tree(tree)
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
	before, err := r.entries(known)
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
