package fleet

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
)

// pin loads the profile that a site or a group has pinned, once. What is wrong
// is reported where it was first chosen.
func (l *loader) pin(file string, c choice) *Profile {
	line := c.Line
	c.Line = 0
	if p, known := l.pinned[c]; known {
		return p
	}
	p, err := l.pinnedProfile(c)
	if err != nil {
		p = nil
		report := func(err error) {
			tip := "pin a signed tag of this repository, and the commit that it names"
			if h := (interface{ Hint() string })(nil); errors.As(err, &h) {
				tip = h.Hint()
			}
			l.add(file, line, tip, "profile %s at tag %s: %s", c.Profile, c.Pin.Tag, oneLine(err)).Rule = RuleBadPin
		}
		for _, problem := range Problems(err) {
			report(problem)
		}
		if len(Problems(err)) == 0 {
			report(err)
		}
	}
	l.pinned[c] = p
	return p
}

func (l *loader) pinnedProfile(c choice) (*Profile, error) {
	if l.Pins == nil {
		return nil, errors.New("pins are found in a Git repository, and this is none")
	}
	fsys, err := l.Pins.At(c.Pin.Tag, c.Pin.Commit)
	if err != nil {
		return nil, err
	}
	dir := path.Join("profiles", c.Profile)
	if info, err := fs.Stat(fsys, dir); err != nil || !info.IsDir() {
		return nil, fmt.Errorf("commit %.12s has no profile %s", c.Pin.Commit, c.Profile)
	}
	found := &problems{}
	for _, root := range []string{dir, "bases"} {
		files, height := 0, 0
		f := folder{fsys, root, &problems{}, map[string][]fs.DirEntry{}}
		f.survey(".", 0, &files, &height)
		found.adopt(root, Problems(f.err()))
	}
	if len(found.list) > 0 {
		return nil, found.err()
	}
	p := loadProfile(fsys, c.Profile, found)
	p.Pin = c.Pin
	return p, found.err()
}
