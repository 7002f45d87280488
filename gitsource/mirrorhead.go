package gitsource

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/go-git/go-git/v5/plumbing"
)

// A static mirror is a folder that any web server can serve:
//
//	head.json          what is there, as below; the only file that ever changes
//	<sha256>.bundle    Git bundles, named by the digest of their bytes
//
// Nothing in it is trusted. What it can do is what any source can: keep news back.
const (
	mirrorHeadFile = "head.json"
	mirrorVersion  = 1
	maxMirrorHead  = 1 << 20 // bytes
	maxMirrorFiles = 512
)

// mirrorHead is the JSON document head.json.
type mirrorHead struct {
	Version int               `json:"version"` // 1
	Branch  string            `json:"branch"`
	Tip     string            `json:"tip"`            // commit of the branch, in hex
	Tags    map[string]string `json:"tags,omitempty"` // signed ones: name without refs/tags/ → tag in hex; the newest file holds all
	Files   []mirrorFile      `json:"files"`          // oldest first
}

// mirrorFile is a bundle that leads from one commit of the branch to another.
type mirrorFile struct {
	SHA256 string `json:"sha256"`          // of the file, in hex; its name is this and ".bundle"
	Size   int64  `json:"size"`            // bytes
	Since  string `json:"since,omitempty"` // commit that a reader must have; empty: none, it is a base
	Tip    string `json:"tip"`             // commit that it leads to
}

func (f mirrorFile) name() string { return f.SHA256 + ".bundle" }

func parseMirrorHead(data []byte) (*mirrorHead, error) {
	if len(data) > maxMirrorHead {
		return nil, fmt.Errorf("%s is larger than %d bytes", mirrorHeadFile, maxMirrorHead)
	}
	head := new(mirrorHead)
	dec := json.NewDecoder(bytes.NewReader(data))
	if err := dec.Decode(head); err != nil {
		return nil, fmt.Errorf("%s is no head of a static mirror: %w", mirrorHeadFile, err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%s holds more than a head of a static mirror", mirrorHeadFile)
	}
	if head.Version != mirrorVersion {
		return nil, fmt.Errorf("%s is of version %d, only %d is supported", mirrorHeadFile, head.Version, mirrorVersion)
	}
	if _, err := parseHash(head.Tip); err != nil {
		return nil, fmt.Errorf("%s: tip: %w", mirrorHeadFile, err)
	}
	for name, h := range head.Tags {
		if _, err := parseHash(h); err != nil {
			return nil, fmt.Errorf("%s: tag %s: %w", mirrorHeadFile, clip(name), err)
		}
	}
	if len(head.Files) > maxMirrorFiles {
		return nil, fmt.Errorf("%s names %d files, at most %d are allowed", mirrorHeadFile, len(head.Files), maxMirrorFiles)
	}
	for i, f := range head.Files {
		if err := f.check(); err != nil {
			return nil, fmt.Errorf("%s: files[%d]: %w", mirrorHeadFile, i, err)
		}
	}
	return head, nil
}

func (f mirrorFile) check() error {
	if sum, err := hex.DecodeString(f.SHA256); err != nil || len(sum) != 32 || hex.EncodeToString(sum) != f.SHA256 {
		return fmt.Errorf("%q is no SHA-256 in lower-case hex", clip(f.SHA256))
	}
	if f.Size <= 0 {
		return fmt.Errorf("size of %d bytes", f.Size)
	}
	if _, err := parseHash(f.Tip); err != nil {
		return err
	}
	if f.Since == "" {
		return nil
	}
	_, err := parseHash(f.Since)
	return err
}

// candidate is what the head says that there is.
func (h *mirrorHead) candidate(source string) *candidate {
	c := &candidate{source: source, tip: plumbing.NewHash(h.Tip), tags: make(map[string]plumbing.Hash)}
	for name, tag := range h.Tags {
		c.tags[name] = plumbing.NewHash(tag)
	}
	c.tags = fewTags(c.tags)
	return c
}

// path returns the files that lead to what the head says from what the reader has,
// in order: as few increments as there are, or else the newest base with what
// follows it. Each file is used once, so a head that goes in circles ends.
func (h *mirrorHead) path(has func(object string) bool) ([]mirrorFile, error) {
	var path, fromBase []mirrorFile
	want := h.Tip
	for i := len(h.Files) - 1; i >= 0 && !has(want); i-- {
		f := h.Files[i]
		switch {
		case f.Tip != want || f.Since == f.Tip:
		case f.Since == "" && fromBase == nil:
			fromBase = append(slices.Clone(path), f)
		case f.Since != "":
			path = append(path, f)
			want = f.Since
		}
	}
	if !has(want) {
		if path = fromBase; path == nil {
			return nil, fmt.Errorf("%s names no files that lead to %.12s", mirrorHeadFile, h.Tip)
		}
	}
	slices.Reverse(path)
	return append(path, h.tagsFile(path, has)...), nil
}

// tagsFile is the newest file, if it is not on the path and brings tags that the
// reader lacks.
func (h *mirrorHead) tagsFile(path []mirrorFile, has func(object string) bool) []mirrorFile {
	i := len(h.Files) - 1
	if i > 0 && h.Files[i].Since == "" && h.Files[i-1].Tip == h.Tip {
		i-- // written together with the base, and smaller
	}
	if i < 0 || slices.Contains(path, h.Files[i]) {
		return nil
	}
	for _, tag := range h.Tags {
		if !has(tag) {
			return []mirrorFile{h.Files[i]}
		}
	}
	return nil
}
