package trust

import (
	"fmt"
	"path"
	"strings"
)

// checkPattern refuses patterns that could never match a path of a repository.
func checkPattern(pattern string) error {
	if pattern == "" || strings.HasPrefix(pattern, "/") || strings.HasSuffix(pattern, "/") {
		return fmt.Errorf("pattern %q: write folders as sites/**, without a slash at either end", clip(pattern))
	}
	for _, segment := range strings.Split(pattern, "/") {
		if segment == "" || segment == "." || segment == ".." {
			return fmt.Errorf("pattern %q has the part %q", clip(pattern), segment)
		}
		if segment != "**" && strings.Contains(segment, "**") {
			return fmt.Errorf("pattern %q: ** must stand alone between slashes", clip(pattern))
		}
		if _, err := path.Match(segment, ""); err != nil {
			return fmt.Errorf("pattern %q is malformed", clip(pattern))
		}
	}
	return nil
}

// matchPath matches segment by segment; "**" stands for any number of segments,
// but for at least one at the end of a pattern.
func matchPath(pattern, name string) bool {
	ps, ns := strings.Split(pattern, "/"), strings.Split(name, "/")
	star, mark := -1, 0
	p, n := 0, 0
	for n < len(ns) {
		switch {
		case p < len(ps) && ps[p] == "**":
			star, mark = p, n
			p++
			if p == len(ps) {
				return true
			}
		case p < len(ps) && matchSegment(ps[p], ns[n]):
			p++
			n++
		case star >= 0:
			mark++
			p, n = star+1, mark
		default:
			return false
		}
	}
	return p == len(ps)
}

func matchSegment(pattern, name string) bool {
	ok, err := path.Match(pattern, name)
	return err == nil && ok
}
