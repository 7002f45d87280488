package content

import (
	"fmt"
	"regexp"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// The parts of a reference, as the OCI distribution specification writes them.
const (
	hostPattern = `^[A-Za-z0-9](?:[A-Za-z0-9-]*\.)+[A-Za-z0-9-]*[A-Za-z0-9](?::[0-9]{1,5})?$`
	pathPattern = `^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*$`
	tagPattern  = `^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$`
	maxName     = 255 // characters of host and path
)

// reference is a parsed name: host/path:tag, host/path@digest, or both at once.
type reference struct {
	repo   string // host/path
	tag    string // or empty, if there is a digest
	digest string // or empty
}

// parseReference reads a reference. Its host is never guessed: a first part
// without a dot is an error.
func parseReference(ref string) (reference, error) {
	rest, digest, fixed := strings.Cut(ref, "@")
	r := reference{repo: rest, digest: digest}
	if fixed {
		if _, err := parseDigest(digest); err != nil {
			return reference{}, fmt.Errorf("reference %q: %w", ref, err)
		}
	}
	if colon := strings.LastIndexByte(rest, ':'); colon > strings.LastIndexByte(rest, '/') {
		r.repo, r.tag = rest[:colon], rest[colon+1:]
		if !matches(tagPattern, r.tag) {
			return reference{}, fmt.Errorf("reference %q: %q is no tag", ref, r.tag)
		}
	} else if !fixed {
		r.tag = "latest"
	}
	host, path, ok := strings.Cut(r.repo, "/")
	if !ok || !matches(hostPattern, host) {
		return reference{}, fmt.Errorf("reference %q: its first part must be a registry's host with a dot, like example.com/%s", ref, strings.TrimPrefix(r.repo, "/"))
	}
	if len(r.repo) > maxName || !matches(pathPattern, path) {
		return reference{}, fmt.Errorf("reference %q: %q is no repository name (lower case letters, digits, separators)", ref, path)
	}
	return r, nil
}

func matches(pattern, s string) bool {
	return regexp.MustCompile(pattern).MatchString(s)
}

// String returns the name that the store keeps.
func (r reference) String() string {
	if r.tag != "" {
		return r.repo + ":" + r.tag
	}
	return r.repo + "@" + r.digest
}

// names says whether the entry d of an index is what r means: the same digest
// if r has one, the same name otherwise.
func (r reference) names(d v1.Descriptor) bool {
	if r.digest != "" {
		return d.Digest.String() == r.digest
	}
	return d.Annotations[refAnnotation] == r.String()
}

func parseDigest(digest string) (v1.Hash, error) {
	h, err := v1.NewHash(digest)
	if err != nil || h.Algorithm != "sha256" {
		return v1.Hash{}, fmt.Errorf("%q is no sha256 digest", digest)
	}
	return h, nil
}
