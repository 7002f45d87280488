package fleet

import (
	"io/fs"
	"path"
	"slices"
)

// LoadUsable is [LoadWith] for those who look for all that is wrong: beside the
// error it returns the sites, and the profiles, that have no part in it.
func LoadUsable(fsys fs.FS, options Options) (*Fleet, error) {
	l := load(fsys, options)
	found := Problems(l.err())
	files, foul := map[string]bool{}, map[string]bool{} // foul: files, and the folders that they are in
	for _, p := range found {
		files[p.File] = true
		for name := p.File; !foul[name] && name != "."; name = path.Dir(name) {
			foul[name] = true
		}
	}
	for name, p := range l.fleet.Profiles {
		if foul[p.Dir] {
			delete(l.fleet.Profiles, name)
		}
	}
	l.fleet.Sites = slices.DeleteFunc(l.fleet.Sites, func(s *Site) bool {
		return s.Profile == nil || foul[s.Dir] || s.Profile.Pin.IsZero() && l.fleet.Profiles[s.Profile.Name] == nil ||
			slices.ContainsFunc(s.Groups, func(dir string) bool { return files[dir+"/group.yaml"] })
	})
	return l.fleet, l.err()
}
