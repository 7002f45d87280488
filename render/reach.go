package render

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"github.com/holdfast-fleet/holdfast/fleet"
)

// reach says which folders a kustomization may read: a profile its own folder
// and bases/, a site its own folder, its profile and what that reads.
type reach struct {
	profile string // folder
	site    string // folder, or empty while the profile's own kustomizations are built
}

func under(name, dir string) bool {
	return dir != "" && (name == dir || strings.HasPrefix(name, dir+"/"))
}

// allows reports whether a kustomization in the folder from may read name.
func (r reach) allows(from, name string) bool {
	switch {
	case under(name, "bases"):
		return true
	case under(from, "bases"):
		return false
	case under(name, r.profile):
		return true
	case under(from, r.profile):
		return false
	}
	// Inputs of a host never reach a layer.
	return under(name, r.site) && !under(name, path.Join(r.site, "hosts"))
}

func (r reach) describe(from string) (who, tip string) {
	switch {
	case under(from, "bases"):
		return "bases/", "bases/ reads only itself"
	case under(from, r.profile):
		return r.profile, "a profile reads its own folder and bases/"
	}
	return r.site, "a site reads its own folder but hosts/, its profile and bases/"
}

// resolve turns what a kustomization in dir refers to into a path of the repository.
func (s *scan) resolve(dir string, at place, ref string) (string, bool) {
	return s.resolveAs(dir, at, ref, ref)
}

func (s *scan) resolveAs(dir string, at place, ref, written string) (string, bool) {
	if remote(ref) {
		s.problem(at, written, "commit a copy to the fleet, for example below bases/", "%s is remote; a fleet holds all that it runs", ref).Rule = fleet.RuleReach
		return "", false
	}
	if path.IsAbs(ref) || ref == "" || strings.ContainsAny(ref, "\\\n\x00") {
		s.problem(at, written, "write it relative to the kustomization", "%q is not a relative path", ref).Rule = fleet.RuleReach
		return "", false
	}
	full := path.Join(dir, ref)
	if !s.reach.allows(dir, full) {
		who, tip := s.reach.describe(dir)
		s.problem(at, written, tip, "%s is out of reach of %s", full, who).Rule = fleet.RuleReach
		return "", false
	}
	if _, err := s.lstat(full); errors.Is(err, errLink) {
		s.problem(at, written, "put a copy there, or share it through bases/", "%s", err).Rule = fleet.RuleIrregularFile
		return "", false
	}
	return full, true
}

// remote reports whether kustomize might take ref for a URL or for something
// that git can clone. A colon or an at sign is in all of those, except for
// GitHub's bare host name.
func remote(ref string) bool {
	lower := strings.ToLower(ref)
	return strings.ContainsAny(ref, ":@?") || strings.HasPrefix(lower, "github.com") || strings.HasPrefix(lower, "www.github.com")
}

var errLink = errors.New("symbolic link")

// lstat describes a path of the repository; no part of it may be a link.
func (s *scan) lstat(name string) (fs.FileInfo, error) {
	var info fs.FileInfo
	for i := 0; i <= len(name); i++ {
		if i < len(name) && name[i] != '/' {
			continue
		}
		var err error
		if info, err = s.fsys.Lstat(name[:i]); err != nil {
			return nil, err
		}
		if info.Mode()&fs.ModeSymlink != 0 {
			return nil, fmt.Errorf("%s is a %w", name[:i], errLink)
		}
	}
	return info, nil
}

func oneLine(err error) string { return strings.Join(strings.Fields(err.Error()), " ") }
