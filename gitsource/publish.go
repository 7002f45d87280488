package gitsource

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"golang.org/x/sys/unix"

	"github.com/holdfast-fleet/holdfast/durable"
)

// A new base is written after this many increments, or once they are as large as
// the base and not small: a first contact reads a base and all that follows it.
const (
	maxIncrements   = 64
	smallIncrements = 1 << 20 // bytes
)

// Published says what was written to a static mirror.
type Published struct {
	Tip   string   `json:"tip"`             // commit, in hex
	Files []string `json:"files,omitempty"` // names of the new bundles; empty: nothing was new
	Size  int64    `json:"size"`            // bytes of them
}

// PublishMirror writes what is new on a branch of the repository at repoDir to a
// static mirror in dir, which is made if missing: an increment since what was
// published last, and all of the history if there is none to build on or too many
// increments. Readers may read at any time.
func PublishMirror(ctx context.Context, dir, repoDir, branch string) (Published, error) {
	p, err := publishMirror(ctx, dir, repoDir, branch)
	if err != nil {
		return p, fmt.Errorf("publish %s to %s: %w", repoDir, dir, err)
	}
	return p, nil
}

func publishMirror(ctx context.Context, dir, repoDir, branch string) (Published, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return Published{}, err
	}
	lock, err := os.Open(dir)
	if err != nil {
		return Published{}, err
	}
	defer lock.Close()
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return Published{}, errors.New("somebody else publishes to it just now")
	}
	// Unlocked, not only closed: a forked child may hold the descriptor a little longer.
	defer func() { _ = unix.Flock(int(lock.Fd()), unix.LOCK_UN) }()
	old, err := readMirrorHead(dir)
	if err != nil {
		return Published{}, err
	}
	head, err := nextHead(repoDir, branch, old)
	if err != nil {
		return Published{}, err
	}
	p := Published{Tip: head.Tip}
	if old != nil && old.Branch == branch && old.Tip == head.Tip && maps.Equal(old.Tags, head.Tags) {
		return p, removeUnlisted(dir, old)
	}
	add := func(since string) error {
		f, err := writeMirrorFile(ctx, dir, repoDir, branch, since)
		if err != nil {
			return err
		}
		if f.Since = since; f.Tip != head.Tip {
			return errors.New("the branch moved meanwhile, so publish again")
		}
		head.Files = append(head.Files, f)
		p.Files, p.Size = append(p.Files, f.name()), p.Size+f.Size
		return nil
	}
	if len(head.Files) > 0 {
		if err := add(old.Tip); err != nil {
			return Published{}, err
		}
	}
	if head.needsBase() {
		if err := add(""); err != nil {
			return Published{}, err
		}
	}
	head.drop()
	if err := writeMirrorHead(dir, head); err != nil {
		return Published{}, err
	}
	return p, removeUnlisted(dir, head)
}

// nextHead names the tip to publish, and the files that stay: none if the history
// that they lead along was left.
func nextHead(repoDir, branch string, old *mirrorHead) (*mirrorHead, error) {
	repo, err := openClone(repoDir)
	if err != nil {
		return nil, err
	}
	ref, err := repo.Reference(plumbing.NewBranchReferenceName(branch), true)
	if errors.Is(err, plumbing.ErrReferenceNotFound) {
		return nil, fmt.Errorf("it has no branch %s", branch)
	}
	if err != nil {
		return nil, err
	}
	head := &mirrorHead{Version: mirrorVersion, Branch: branch, Tip: ref.Hash().String(), Tags: make(map[string]string)}
	tags, err := signedTags(repo)
	if err != nil {
		return nil, err
	}
	for _, t := range tags {
		head.Tags[t.name] = t.hash.String()
	}
	if old == nil || old.Branch != branch {
		return head, nil
	}
	tip, err := repo.CommitObject(ref.Hash())
	if err != nil {
		return nil, err
	}
	before, err := repo.CommitObject(plumbing.NewHash(old.Tip))
	if errors.Is(err, plumbing.ErrObjectNotFound) {
		return head, nil
	}
	if err != nil {
		return nil, err
	}
	ancestor, err := before.IsAncestor(tip)
	if ancestor {
		head.Files = old.Files
	}
	return head, err
}

func (h *mirrorHead) needsBase() bool {
	var base, size int64
	count := 0
	for _, f := range h.Files {
		if f.Since == "" {
			base, size, count = f.Size, 0, 0
			continue
		}
		size, count = size+f.Size, count+1
	}
	return base == 0 || count > maxIncrements || size > max(base, smallIncrements)
}

// drop forgets all bases but the newest, and increments that only hosts need
// that were away for long.
func (h *mirrorHead) drop() {
	last := len(h.Files) - 1
	for last > 0 && h.Files[last].Since != "" {
		last--
	}
	var files []mirrorFile
	for i, f := range h.Files {
		if f.Since != "" || i == last {
			files = append(files, f)
		}
	}
	h.Files = files[max(0, len(files)-maxMirrorFiles/2):]
}

func readMirrorHead(dir string) (*mirrorHead, error) {
	file, err := os.Open(filepath.Join(dir, mirrorHeadFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, maxMirrorHead+1))
	if err != nil {
		return nil, err
	}
	return parseMirrorHead(data)
}

// writeMirrorHead makes what was written visible. Web servers tell whether a file
// changed by its time in seconds, so the time of the head moves by one at least.
func writeMirrorHead(dir string, head *mirrorHead) error {
	path := filepath.Join(dir, mirrorHeadFile)
	at := time.Now()
	if info, err := os.Stat(path); err == nil && !at.After(info.ModTime().Add(time.Second)) {
		at = info.ModTime().Add(time.Second)
	}
	data, err := json.MarshalIndent(head, "", " ")
	if err != nil {
		return err
	}
	next := filepath.Join(dir, "."+mirrorHeadFile)
	if err := durable.WriteFile(next, append(data, '\n'), 0o644); err != nil {
		return err
	}
	if err := os.Chtimes(next, at, at); err != nil {
		return err
	}
	if err := os.Rename(next, path); err != nil {
		return err
	}
	return durable.SyncDir(dir)
}

// writeMirrorFile writes a bundle under the digest of its bytes.
func writeMirrorFile(ctx context.Context, dir, repoDir, branch, since string) (mirrorFile, error) {
	tmp, err := os.CreateTemp(dir, ".bundle-*")
	if err != nil {
		return mirrorFile{}, err
	}
	defer os.Remove(tmp.Name())
	defer tmp.Close()
	if err := createBundle(ctx, tmp, repoDir, branch, since); err != nil {
		return mirrorFile{}, err
	}
	f := mirrorFile{}
	if f.SHA256, err = digestFile(ctx, tmp); err != nil {
		return f, err
	}
	info, err := InspectBundle(tmp.Name())
	if err != nil {
		return f, err
	}
	tip, err := info.tip(branch)
	if err != nil {
		return f, err
	}
	f.Size, f.Tip = info.Size, tip.String()
	if err := tmp.Chmod(0o644); err != nil {
		return f, err
	}
	if err := tmp.Sync(); err != nil {
		return f, err
	}
	return f, os.Rename(tmp.Name(), filepath.Join(dir, f.name()))
}

// removeUnlisted removes bundles that the head does not name any more. A reader
// that still has the head before finds them gone, and asks for the head again.
func removeUnlisted(dir string, head *mirrorHead) error {
	listed := make(map[string]bool)
	for _, f := range head.Files {
		listed[f.name()] = true
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		leftover := strings.HasPrefix(e.Name(), ".bundle-")
		if sum, ok := strings.CutSuffix(e.Name(), ".bundle"); ok && len(sum) == 64 && !listed[e.Name()] {
			leftover = true
		}
		if leftover {
			if err := os.Remove(filepath.Join(dir, e.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}
