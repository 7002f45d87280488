package fleet

import (
	"io/fs"
	"slices"
	"strings"
)

// LoadUsable is [LoadWith] for those who look for all that is wrong: beside the
// error it returns the sites, and the profiles, that have no part in it.
func LoadUsable(fsys fs.FS, options Options) (*Fleet, error) {
	l := load(fsys, options)
	found := Problems(l.err())
	below := func(dir string) bool {
		return slices.ContainsFunc(found, func(p *Problem) bool { return p.File == dir || strings.HasPrefix(p.File, dir+"/") })
	}
	for name, p := range l.fleet.Profiles {
		if below(p.Dir) {
			delete(l.fleet.Profiles, name)
		}
	}
	files := map[string]bool{}
	for _, p := range found {
		files[p.File] = true
	}
	l.fleet.Sites = slices.DeleteFunc(l.fleet.Sites, func(s *Site) bool {
		return s.Profile == nil || below(s.Dir) || s.Profile.Pin.IsZero() && l.fleet.Profiles[s.Profile.Name] == nil ||
			slices.ContainsFunc(s.Groups, func(dir string) bool { return files[dir+"/group.yaml"] })
	})
	return l.fleet, l.err()
}
