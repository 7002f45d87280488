package gitsource

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/format/packfile"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/go-git/go-git/v5/plumbing/revlist"
	"github.com/go-git/go-git/v5/plumbing/storer"
	"github.com/go-git/go-git/v5/storage/filesystem"
)

// CreateBundle writes a bundle of version 2 with the history of one branch of the
// repository at repoDir, and its signed tags of commits, which may approve or
// release them; ref is the branch's name, short or full, or HEAD. With since, a
// commit in hex or any name of one, it is an increment: what the branch has and
// that commit has not. Whoever reads it must have that commit.
func CreateBundle(ctx context.Context, w io.Writer, repoDir, ref, since string) error {
	if err := createBundle(ctx, w, repoDir, ref, since); err != nil {
		return fmt.Errorf("create bundle of %s: %w", repoDir, err)
	}
	return nil
}

// openClone opens somebody's repository, bare or with a working tree, at dir or above it.
func openClone(dir string) (*git.Repository, error) {
	o := git.PlainOpenOptions{EnableDotGitCommonDir: true}
	repo, err := git.PlainOpenWithOptions(dir, &o)
	if errors.Is(err, git.ErrRepositoryNotExists) {
		o.DetectDotGit = true // which finds no bare one
		repo, err = git.PlainOpenWithOptions(dir, &o)
	}
	if errors.Is(err, git.ErrRepositoryNotExists) {
		return nil, errors.New("not a Git repository")
	}
	if err != nil {
		return nil, err
	}
	storage, ok := repo.Storer.(*filesystem.Storage)
	if !ok {
		return nil, errors.New("not a repository on disk")
	}
	tree, err := repo.Worktree()
	if err != nil && !errors.Is(err, git.ErrIsBareRepository) {
		return nil, err
	}
	objects, err := openStorage(storage.Filesystem())
	if err != nil {
		return nil, err
	}
	if tree == nil {
		return git.Open(objects, nil)
	}
	return git.Open(objects, tree.Filesystem)
}

func createBundle(ctx context.Context, w io.Writer, repoDir, ref, since string) error {
	repo, err := openClone(repoDir)
	if err != nil {
		return err
	}
	name := plumbing.ReferenceName(ref)
	if ref != "HEAD" && !strings.HasPrefix(ref, "refs/") {
		name = plumbing.NewBranchReferenceName(ref)
	}
	tip, err := repo.Reference(name, true)
	if errors.Is(err, plumbing.ErrReferenceNotFound) {
		return fmt.Errorf("it has no branch %s", ref)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", ref, err)
	}
	needs, known, err := prerequisites(ctx, repo, tip.Hash(), since)
	if err != nil {
		return err
	}
	tags, err := signedTags(repo)
	if err != nil {
		return err
	}
	header := "# v2 git bundle\n"
	for _, h := range needs {
		header += "-" + h.String() + "\n"
	}
	header += fmt.Sprintf("%s %s\n", tip.Hash(), tip.Name())
	tips := []plumbing.Hash{tip.Hash()}
	for _, t := range tags {
		header += fmt.Sprintf("%s %s%s\n", t.hash, tagPrefix, t.name)
		tips = append(tips, t.hash)
	}
	hashes, err := revlist.Objects(repo.Storer, tips, known)
	if err != nil {
		return err
	}
	if len(hashes) == 0 {
		return fmt.Errorf("there is nothing new since %s", clip(since))
	}
	plumbing.HashesSort(hashes)
	out := &meteredWriter{ctx, w, newMeter(ctx, "writing", true, 0)}
	if _, err := fmt.Fprintln(out, header); err != nil {
		return err
	}
	return encodePack(out, repo.Storer, hashes)
}

// encodePack writes objects as a pack; go-git alone would write a few bytes at a time.
func encodePack(w io.Writer, from storer.EncodedObjectStorer, hashes []plumbing.Hash) error {
	buffered := bufio.NewWriterSize(w, 64<<10)
	if _, err := packfile.NewEncoder(buffered, from, false).Encode(hashes, deltaWindow); err != nil {
		return err
	}
	return buffered.Flush()
}

// deltaWindow is how many objects are compared to find what is alike; git's default.
const deltaWindow = 10

// prerequisites of an increment are the commits outside of it that its commits
// have as parents; known is what its reader has, empty for all of the history.
func prerequisites(ctx context.Context, repo *git.Repository, tip plumbing.Hash, since string) (needs, known []plumbing.Hash, err error) {
	if since == "" {
		return nil, nil, nil
	}
	from, err := repo.ResolveRevision(plumbing.Revision(since))
	if err != nil {
		return nil, nil, fmt.Errorf("it has no commit %s", clip(since))
	}
	old := make(map[plumbing.Hash]bool)
	if err := ancestors(ctx, repo, *from, old, func(*object.Commit) {}); err != nil {
		return nil, nil, err
	}
	if tip == *from { // there may still be new tags
		return []plumbing.Hash{tip}, []plumbing.Hash{tip}, nil
	}
	if old[tip] {
		return nil, nil, fmt.Errorf("there is nothing new since %s", clip(since))
	}
	boundary, seen := make(map[plumbing.Hash]bool), maps.Clone(old)
	err = ancestors(ctx, repo, tip, seen, func(c *object.Commit) {
		for _, parent := range c.ParentHashes {
			if old[parent] {
				boundary[parent] = true
			}
		}
	})
	if err != nil {
		return nil, nil, err
	}
	if !boundary[*from] {
		return nil, nil, fmt.Errorf("%s is not on the way to its tip", clip(since))
	}
	needs = slices.Collect(maps.Keys(boundary))
	plumbing.HashesSort(needs)
	return needs, []plumbing.Hash{*from}, nil
}

// ancestors visits a commit and all before it that were not seen.
func ancestors(ctx context.Context, repo *git.Repository, from plumbing.Hash, seen map[plumbing.Hash]bool, visit func(*object.Commit)) error {
	for queue := []plumbing.Hash{from}; len(queue) > 0; {
		h := queue[len(queue)-1]
		queue = queue[:len(queue)-1]
		if seen[h] {
			continue
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		c, err := repo.CommitObject(h)
		if err != nil {
			return fmt.Errorf("read commit %s: %w", h, err)
		}
		seen[h] = true
		visit(c)
		queue = append(queue, c.ParentHashes...)
	}
	return nil
}
