package review

import (
	"io/fs"
	"path"
	"strings"
)

// scope is which sites the paths of a change can touch.
type scope struct {
	all   bool
	below map[string]bool // folders of sites and groups
	above map[string]bool // folders that one of those is in
}

// newScope finds the sites and groups that files are part of, in either tree.
func newScope(paths []string, trees ...fs.FS) scope {
	s := scope{below: map[string]bool{}, above: map[string]bool{}}
	isSite := map[string]bool{}
	for _, p := range paths {
		switch first, _, _ := strings.Cut(p, "/"); first {
		case "fleet.yaml", "profiles", "bases":
			s.all = true
		case "sites":
			s.add(siteOf(p, isSite, trees))
		}
	}
	return s
}

func (s *scope) add(dir string) {
	s.below[dir] = true
	for dir = path.Dir(dir); dir != "." && !s.above[dir]; dir = path.Dir(dir) {
		s.above[dir] = true
	}
}

// siteOf returns the folder of the site that a file is part of, or else its folder.
func siteOf(file string, known map[string]bool, trees []fs.FS) string {
	parts := strings.Split(file, "/")
	for n := 2; n < len(parts); n++ {
		dir := strings.Join(parts[:n], "/")
		is, asked := known[dir]
		for i := 0; !asked && !is && i < len(trees); i++ {
			_, err := fs.Stat(trees[i], dir+"/site.yaml")
			is = err == nil
		}
		if known[dir] = is; is {
			return dir
		}
	}
	return path.Dir(file)
}

// site tells whether a site's folder can be touched.
func (s *scope) site(dir string) bool {
	for ; dir != "."; dir = path.Dir(dir) {
		if s.below[dir] {
			return true
		}
	}
	return false
}

// within tells whether a site in a folder can be touched.
func (s *scope) within(dir string) bool { return s.above[dir] || s.site(dir) }

func (s *scope) empty() bool { return !s.all && len(s.below) == 0 }
