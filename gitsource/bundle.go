package gitsource

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"golang.org/x/sys/unix"

	"github.com/holdfast-fleet/holdfast/trust"
)

const (
	maxBundleLine   = 4096   // bytes
	maxBundleHeader = 10_000 // lines
)

// BundleInfo is what the header of a bundle says; nothing of it is verified.
type BundleInfo struct {
	Version       int         `json:"version"` // 2 or 3
	Size          int64       `json:"size"`    // bytes of the file
	Refs          []BundleRef `json:"refs"`
	Prerequisites []string    `json:"prerequisites,omitempty"` // commits, in hex, that a reader must have
}

// BundleRef is a name in a bundle and what it points to, in hex.
type BundleRef struct {
	Name   string `json:"name"`
	Commit string `json:"commit"`
}

// parseBundleHeader reads up to the pack; the format is that of
// gitformat-bundle(5). Version 3 with filters or SHA-256 is refused.
func parseBundleHeader(r *bufio.Reader) (BundleInfo, error) {
	var info BundleInfo
	switch line, _ := bundleLine(r); line {
	case "# v2 git bundle":
		info.Version = 2
	case "# v3 git bundle":
		info.Version = 3
	default:
		return info, errors.New("not a Git bundle of version 2 or 3")
	}
	for n := 0; ; n++ {
		if n == maxBundleHeader {
			return info, fmt.Errorf("bundle header of more than %d lines", maxBundleHeader)
		}
		line, err := bundleLine(r)
		if err != nil {
			return info, err
		}
		if line == "" {
			break
		}
		if err := info.add(line); err != nil {
			return info, err
		}
	}
	if len(info.Refs) == 0 {
		return info, errors.New("bundle without a branch")
	}
	return info, nil
}

func (b *BundleInfo) add(line string) error {
	switch line[0] {
	case '@':
		if b.Version != 3 || len(b.Refs)+len(b.Prerequisites) > 0 {
			return errors.New("bundle capability out of place")
		}
		if line != "@object-format=sha1" {
			return fmt.Errorf("bundle needs %s, which is not supported", clip(line[1:]))
		}
		return nil
	case '-':
		name, _, _ := strings.Cut(line[1:], " ")
		if len(b.Refs) > 0 {
			return errors.New("bundle prerequisite out of place")
		}
		if _, err := parseHash(name); err != nil {
			return err
		}
		b.Prerequisites = append(b.Prerequisites, name)
		return nil
	}
	commit, name, ok := strings.Cut(line, " ")
	if !ok || (name != "HEAD" && !strings.HasPrefix(name, "refs/")) {
		return fmt.Errorf("bundle header has the line %q", clip(line))
	}
	if _, err := parseHash(commit); err != nil {
		return err
	}
	if slices.ContainsFunc(b.Refs, func(r BundleRef) bool { return r.Name == name }) {
		return fmt.Errorf("bundle names %s twice", clip(name))
	}
	b.Refs = append(b.Refs, BundleRef{Name: name, Commit: commit})
	return nil
}

func bundleLine(r *bufio.Reader) (string, error) {
	var line []byte
	for {
		c, err := r.ReadByte()
		if err != nil {
			return "", errors.New("bundle is truncated in its header")
		}
		if c == '\n' {
			return string(line), nil
		}
		if c < ' ' && c != '\t' || c == 0x7f {
			return "", errors.New("bundle header holds a control character")
		}
		if line = append(line, c); len(line) > maxBundleLine {
			return "", errors.New("bundle header has an overlong line")
		}
	}
}

// tip is the branch's commit, or HEAD's if the bundle has no branch of that name.
func (b *BundleInfo) tip(branch string) (plumbing.Hash, error) {
	for _, want := range []string{"refs/heads/" + branch, "HEAD"} {
		for _, ref := range b.Refs {
			if ref.Name == want {
				return plumbing.NewHash(ref.Commit), nil
			}
		}
	}
	return plumbing.ZeroHash, fmt.Errorf("bundle has no branch %s", branch)
}

// branches lists the names of the branches, without refs/heads/.
func (b *BundleInfo) branches() []string {
	var names []string
	for _, ref := range b.Refs {
		if name, ok := strings.CutPrefix(ref.Name, "refs/heads/"); ok {
			names = append(names, name)
		}
	}
	return names
}

// openBundle opens a regular file and reads its header; the reader is at the pack.
func openBundle(path string) (*os.File, *bufio.Reader, BundleInfo, error) {
	file, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if errors.Is(err, unix.ELOOP) {
		err = &hinted{errors.New("a symbolic link, not a regular file"), "name what the link leads to"}
	}
	if pathErr := new(fs.PathError); errors.As(err, &pathErr) {
		err = pathErr.Err // whoever asks knows the path
	}
	if err != nil {
		return nil, nil, BundleInfo{}, err
	}
	stat, err := file.Stat()
	if err == nil && !stat.Mode().IsRegular() {
		err = &hinted{errors.New("not a regular file"), "name the file of the bundle; in a folder, that is one whose name ends in .bundle"}
	}
	if err != nil {
		file.Close()
		return nil, nil, BundleInfo{}, err
	}
	r := bufio.NewReaderSize(file, 64<<10)
	info, err := parseBundleHeader(r)
	if err != nil {
		file.Close()
		return nil, nil, BundleInfo{}, bundleError{err}
	}
	info.Size = stat.Size()
	return file, r, info, nil
}

// InspectBundle reads the header of a bundle.
func InspectBundle(path string) (BundleInfo, error) {
	file, _, info, err := openBundle(path)
	if err != nil {
		return BundleInfo{}, &hinted{fmt.Errorf("inspect bundle %s: %w", path, err), hint(err)}
	}
	file.Close()
	return info, nil
}

// VerifyBundle checks a full bundle as a host would at first contact: that it is
// whole, that a key of anchor signed the tip of its only branch, or of main, or of
// HEAD, or released a commit before it, and that the trust folder loads. Nothing is
// left behind.
func VerifyBundle(ctx context.Context, path string, anchor *trust.Keyring) (BundleInfo, trust.Signer, error) {
	info, signer, err := verifyBundle(reading(ctx, path), path, anchor)
	if err != nil {
		return info, signer, &hinted{fmt.Errorf("verify bundle %s: %w", path, err), hint(err)}
	}
	return info, signer, nil
}

func verifyBundle(ctx context.Context, path string, anchor *trust.Keyring) (BundleInfo, trust.Signer, error) {
	file, pack, info, err := openBundle(path)
	if err != nil {
		return info, trust.Signer{}, bundleError{err}
	}
	defer file.Close()
	branch := "main"
	if heads := info.branches(); len(heads) == 1 {
		branch = heads[0]
	}
	tip, err := info.tip(branch)
	if err != nil {
		return info, trust.Signer{}, err
	}
	s, err := stageBundle(ctx, os.TempDir(), &info, pack, stageOptions{limits: defaultLimits()})
	if err != nil {
		return info, trust.Signer{}, bundleError{err}
	}
	defer s.discard()
	c, err := s.store.commit(tip)
	if err != nil {
		return info, trust.Signer{}, err
	}
	judge := &court{
		store: s.store, anchor: anchor, trusts: make(map[plumbing.Hash]*trustFolder),
		tags: s.store.index(map[string]*candidate{path: {tags: info.tags()}}),
	}
	first, err := judge.contact(c)
	if err != nil {
		return info, trust.Signer{}, err
	}
	return info, first.Signer, nil
}

// stageOptions say what a bundle is checked against.
type stageOptions struct {
	base   *store // nil: the bundle must be complete
	limits limits
}

// missingPrerequisite reports an increment without what it builds on.
type missingPrerequisite struct{ hash plumbing.Hash }

func (m *missingPrerequisite) Error() string { return fmt.Sprintf("missing prerequisite %s", m.hash) }

// Hint says what to bring.
func (m *missingPrerequisite) Hint() string {
	return fmt.Sprintf("it is an increment: bring the bundle that leads to %.12s too, or one with all of the history", m.hash)
}

// stageBundle stages the pack of a bundle whose header was read.
func stageBundle(ctx context.Context, dir string, info *BundleInfo, pack io.Reader, o stageOptions) (*staged, error) {
	for _, name := range info.Prerequisites {
		if o.base == nil || !o.base.has(plumbing.NewHash(name)) {
			return nil, &missingPrerequisite{plumbing.NewHash(name)}
		}
	}
	s, err := stage(ctx, dir, pack, o.base, o.limits)
	if err != nil {
		return nil, err
	}
	for _, ref := range info.Refs {
		if err := s.expect(plumbing.NewHash(ref.Commit), plumbing.AnyObject, o.base); err != nil {
			s.discard()
			return nil, fmt.Errorf("header of the bundle: %s %w", ref.Name, err)
		}
	}
	return s, nil
}
