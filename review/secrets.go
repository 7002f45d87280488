package review

import (
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/holdfast-fleet/holdfast/fleet"
	"github.com/holdfast-fleet/holdfast/secrets"
)

// Secret is a SOPS document of a fleet, and who needs it.
type Secret struct {
	File       string   `json:"file"`
	Digest     string   `json:"digest,omitempty"`
	Recipients []string `json:"recipients"`
	Hosts      []string `json:"hosts"`            // that need it
	Cannot     []string `json:"cannot,omitempty"` // of those, open it
	Problem    error    `json:"-"`                // why nobody can

	sites []string // of Cannot
}

// Secrets finds the SOPS documents of a fleet, and the hosts that cannot open what
// is within their reach: what is in the folder of their site, in its groups, in
// its profile and in bases/.
func Secrets(fsys fs.FS, f *fleet.Fleet) ([]Secret, error) {
	list, in := []Secret{}, newReach(f.Sites)
	err := secrets.Find(fsys, ".", nil, func(file string, data []byte) {
		list = append(list, in.secret(file, data))
	})
	return list, err
}

// reach is which files sites read.
type reach struct {
	sites []*fleet.Site
	byDir map[string]*fleet.Site
	above map[string][]*fleet.Site // by the folders that they are in
}

func newReach(sites []*fleet.Site) reach {
	r := reach{sites, make(map[string]*fleet.Site, len(sites)), map[string][]*fleet.Site{}}
	for _, s := range sites {
		r.byDir[s.Dir] = s
		for dir := path.Dir(s.Dir); dir != "."; dir = path.Dir(dir) {
			r.above[dir] = append(r.above[dir], s)
		}
	}
	return r
}

// readers returns the sites within whose reach a file of the fleet is.
func (r reach) readers(file string) []*fleet.Site {
	for dir := path.Dir(file); dir != "."; dir = path.Dir(dir) {
		if s := r.byDir[dir]; s != nil {
			return []*fleet.Site{s}
		}
		if sites := r.above[dir]; sites != nil {
			return sites
		}
	}
	return slices.DeleteFunc(slices.Clone(r.sites), func(s *fleet.Site) bool {
		return !strings.HasPrefix(file, "bases/") && !strings.HasPrefix(file, s.Profile.Dir+"/")
	})
}

func (r reach) secret(file string, data []byte) Secret {
	s := Secret{File: file, Recipients: []string{}, Hosts: []string{}}
	doc, err := secrets.Parse(file, data)
	if err == nil {
		s.Digest, s.Recipients = doc.Digest(), doc.Recipients()
	}
	s.Problem = err
	can := make(map[string]bool, len(s.Recipients))
	for _, key := range s.Recipients {
		can[key] = true
	}
	for _, site := range r.readers(file) {
		cannot := false
		for _, h := range site.Active() {
			if s.Hosts = append(s.Hosts, h.Name); !can[h.Identity] {
				s.Cannot, cannot = append(s.Cannot, h.Name), true
			}
		}
		if cannot {
			s.sites = append(s.sites, site.Name)
		}
	}
	return s
}

// unreadable lists the secrets that hosts cannot open at head: among those that
// differ, and for hosts with another key or another profile among all.
func unreadable(pairs []*pair, head State, paths []string) ([]Group, error) {
	var all, moved []*fleet.Site
	for _, p := range pairs {
		switch {
		case p.new == nil:
			continue
		case p.old == nil || p.old.Dir != p.new.Dir || profileOf(p.old) != profileOf(p.new) || !slices.EqualFunc(p.old.Active(), p.new.Active(), sameKey):
			moved = append(moved, p.new)
		case !p.new.Profile.Pin.IsZero():
			continue // what differs is not what it reads
		}
		all = append(all, p.new)
	}
	found := map[string]Secret{}
	if err := ofChanged(found, newReach(all), head, paths); err != nil {
		return nil, err
	}
	if err := ofMoved(found, moved, head); err != nil {
		return nil, err
	}
	var groups []Group
	for _, name := range slices.Sorted(maps.Keys(found)) {
		if s := found[name]; len(s.Cannot) > 0 {
			groups = append(groups, s.group(name))
		}
	}
	return groups, nil
}

func sameKey(a, b *fleet.Host) bool { return a.Name == b.Name && a.Identity == b.Identity }

// ofChanged looks at the files that differ.
func ofChanged(found map[string]Secret, in reach, head State, paths []string) error {
	for _, file := range paths {
		data, err := secrets.Read(head.FS, file)
		if err != nil {
			return err
		}
		if data != nil {
			found[file] = in.secret(file, data)
		}
	}
	return nil
}

// ofMoved looks at all that sites read.
func ofMoved(found map[string]Secret, sites []*fleet.Site, head State) error {
	running := map[*fleet.Profile][]*fleet.Site{}
	for _, s := range sites {
		running[s.Profile] = append(running[s.Profile], s)
	}
	for p, sites := range running {
		in, at := newReach(sites), ""
		if !p.Pin.IsZero() {
			at = " at " + p.Pin.Tag
		}
		for _, dir := range []string{p.Dir, "bases"} {
			err := secrets.Find(p.FS, dir, nil, func(file string, data []byte) {
				known := found[file+at]
				s := in.secret(file, data)
				s.Cannot, s.sites = append(known.Cannot, s.Cannot...), append(known.sites, s.sites...)
				found[file+at] = s
			})
			if err != nil {
				return err
			}
		}
	}
	if len(sites) == 0 {
		return nil
	}
	in := newReach(sites)
	return secrets.Find(head.FS, "sites", func(dir string) bool {
		if in.byDir[dir] != nil {
			return false
		}
		_, err := fs.Stat(head.FS, path.Join(dir, "site.yaml"))
		return err == nil // another site's
	}, func(file string, data []byte) {
		if _, known := found[file]; !known {
			found[file] = in.secret(file, data)
		}
	})
}

func (s *Secret) group(name string) Group {
	c := Change{Kind: Unreadable, Object: name, Danger: "these hosts cannot open it: their keys are not among its recipients",
		Note: "add the identity of their host files to .sops.yaml, then: holdfast secrets rotate " + s.File}
	if s.Problem != nil {
		c.Danger, c.Note = "no host can open it: "+s.Problem.Error(), ""
	}
	return Group{Change: c, Sites: sortedUnique(s.sites), Hosts: sortedUnique(s.Cannot), Causes: []Cause{}}
}

func sortedUnique(names []string) []string {
	names = slices.Clone(names)
	slices.Sort(names)
	return slices.Compact(names)
}
