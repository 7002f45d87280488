package gitsource

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"

	"github.com/holdfast-fleet/holdfast/trust"
)

// Limits of the tags of one source.
const (
	maxTags    = 8_000     // so that a bundle of them has a header that is read
	maxTagSize = 128 << 10 // bytes of a tag that is judged
	tagPrefix  = "refs/tags/"
)

// tag is an annotated tag of a commit, as its raw bytes say.
type tag struct {
	hash      plumbing.Hash
	name      string // without refs/tags/
	target    plumbing.Hash
	time      time.Time // tagger's
	signature []byte    // armored; empty if there is none
	payload   []byte    // what is signed: what comes before the signature
}

// parseTag reads the raw bytes of a tag: headers object, type, tag and tagger and
// no others, then text that ends in the signature (gitformat-signature(5)).
func parseTag(hash plumbing.Hash, raw []byte) (*tag, error) {
	t := &tag{hash: hash}
	rest := raw
	for _, want := range []string{"object", "type", "tag", "tagger"} {
		line, after, ok := bytes.Cut(rest, []byte("\n"))
		key, value, spaced := strings.Cut(string(line), " ")
		if !ok || !spaced || key != want || strings.ContainsRune(value, 0) {
			return nil, fmt.Errorf("tag without %s where it belongs", want)
		}
		var err error
		switch {
		case key == "object":
			t.target, err = parseHash(value)
		case key == "type" && value != "commit":
			err = fmt.Errorf("tag of a %s, not of a commit", clip(value))
		case key == "tag":
			t.name = value
		case key == "tagger":
			t.time, err = parseStamp(value)
		}
		if err != nil {
			return nil, err
		}
		rest = after
	}
	if !bytes.HasPrefix(rest, []byte("\n")) {
		return nil, errors.New("tag with a header that is not known")
	}
	t.payload = raw
	for at := len(raw) - len(rest); at < len(raw); {
		if line := raw[at:]; bytes.HasPrefix(line, []byte("-----BEGIN PGP SIGNATURE-----")) || bytes.HasPrefix(line, []byte("-----BEGIN SSH SIGNATURE-----")) {
			t.payload, t.signature = raw[:at], line // the last one, as git does
		}
		end := bytes.IndexByte(raw[at:], '\n')
		if end < 0 {
			break
		}
		at += end + 1
	}
	return t, nil
}

// tagTarget returns what an annotated tag points to, whatever that is.
func tagTarget(raw []byte) (plumbing.Hash, error) {
	line, _, _ := bytes.Cut(raw, []byte("\n"))
	value, ok := strings.CutPrefix(string(line), "object ")
	if !ok {
		return plumbing.ZeroHash, errors.New("tag without an object")
	}
	return parseHash(value)
}

// tag reads a tag that a ref of that name points to. The name must be the one
// that was signed, or whoever holds the refs could make one tag of another.
func (s *store) tag(name string, h plumbing.Hash) (*tag, error) {
	raw, err := s.read(h, plumbing.TagObject, maxTagSize)
	if err != nil {
		return nil, err
	}
	t, err := parseTag(h, raw)
	if err != nil {
		return nil, err
	}
	if t.name != name {
		return nil, fmt.Errorf("it was signed as %s", clip(t.name))
	}
	return t, nil
}

// annotatedTags lists the annotated tags that a remote advertises, by name
// without refs/tags/: of too many, approvals and then the first by name.
func annotatedTags(refs *packp.AdvRefs) map[string]plumbing.Hash {
	tags := make(map[string]plumbing.Hash)
	for name := range refs.Peeled {
		if short, ok := strings.CutPrefix(name, tagPrefix); ok && !refs.References[name].IsZero() {
			tags[short] = refs.References[name]
		}
	}
	return fewTags(tags)
}

func fewTags(tags map[string]plumbing.Hash) map[string]plumbing.Hash {
	if len(tags) <= maxTags {
		return tags
	}
	names := make([]string, 0, len(tags))
	for name := range tags {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int {
		approvalA, approvalB := strings.HasPrefix(a, trust.ApprovalPrefix), strings.HasPrefix(b, trust.ApprovalPrefix)
		switch {
		case approvalA && !approvalB:
			return -1
		case approvalB && !approvalA:
			return 1
		}
		return strings.Compare(a, b)
	})
	for _, name := range names[maxTags:] {
		delete(tags, name)
	}
	return tags
}

// tags lists what the header of a bundle calls a tag, by name without refs/tags/.
func (b *BundleInfo) tags() map[string]plumbing.Hash {
	tags := make(map[string]plumbing.Hash)
	for _, ref := range b.Refs {
		if short, ok := strings.CutPrefix(ref.Name, tagPrefix); ok {
			tags[short] = plumbing.NewHash(ref.Commit)
		}
	}
	return tags
}

// objects lists the tip and the tags.
func (c *candidate) objects() []plumbing.Hash {
	return append([]plumbing.Hash{c.tip}, slices.Collect(maps.Values(c.tags))...)
}

// missing lists those that the mirror does not hold.
func (c *candidate) missing(mirror *store) []plumbing.Hash {
	return slices.DeleteFunc(c.objects(), mirror.has)
}

// index reads the tags of all candidates, as a signature counts wherever it comes
// from. What is no annotated tag of a commit, or is named otherwise than it was
// signed, is left out.
func (s *store) index(candidates map[string]*candidate) *tagIndex {
	var tags []*tag
	for _, c := range candidates {
		for name, h := range c.tags {
			if !s.has(h) {
				continue
			}
			if t, err := s.tag(name, h); err == nil {
				tags = append(tags, t)
			}
		}
	}
	return newTagIndex(tags)
}

// signedTags lists the signed tags of commits in somebody's repository, by name.
func signedTags(repo *git.Repository) ([]*tag, error) {
	refs, err := repo.Tags()
	if err != nil {
		return nil, err
	}
	var tags []*tag
	err = refs.ForEach(func(ref *plumbing.Reference) error {
		object, err := repo.Storer.EncodedObject(plumbing.TagObject, ref.Hash())
		if err != nil || object.Size() > maxTagSize {
			return nil //nolint:nilerr // a lightweight tag, or none that anybody judges
		}
		r, err := object.Reader()
		if err != nil {
			return err
		}
		defer r.Close()
		raw, err := io.ReadAll(r)
		if err != nil {
			return err
		}
		if t, err := parseTag(ref.Hash(), raw); err == nil && len(t.signature) > 0 && tagPrefix+t.name == ref.Name().String() {
			tags = append(tags, t)
		}
		return nil
	})
	if err == nil && len(tags) > maxTags {
		err = fmt.Errorf("it has %d signed tags, at most %d are read: delete approvals of what has long been accepted", len(tags), maxTags)
	}
	return newTagIndex(tags).list, err
}
