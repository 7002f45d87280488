package fleet

import (
	"errors"
	"io/fs"
	"path"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Limits of a fleet repository.
const (
	maxFiles   = 100_000
	maxFolders = 32 // nested in each other
)

type loader struct {
	fsys fs.FS
	*problems
	fleet      *Fleet
	identities map[string]string // public key → file of its host
}

// Load reads the fleet that a repository declares. Its error joins every
// [Problem] found, in a stable order; see [Problems].
func Load(fsys fs.FS) (*Fleet, error) {
	l := &loader{fsys: fsys, problems: &problems{}, identities: map[string]string{}, fleet: &Fleet{Profiles: map[string]*Profile{}}}
	if l.survey(); len(l.list) > 0 {
		return nil, l.err()
	}
	data, ok := l.read("fleet.yaml", "a fleet repository has it at its root")
	if !ok {
		return nil, l.err()
	}
	r := reader{"fleet.yaml", l.problems}
	l.fleet.Name = r.kubeObject(data, "Fleet", "", map[string]field{
		"freshness": {false, func(n *yaml.Node) { l.fleet.Freshness = r.days(n, "freshness") }},
	})
	for _, e := range l.entriesOf("profiles") {
		if e.IsDir() {
			l.fleet.Profiles[e.Name()] = l.profile(e.Name())
		}
	}
	if len(l.entriesOf("sites")) > 0 {
		l.sites("sites")
	}
	l.uniqueSites()
	if err := l.err(); err != nil {
		return nil, err
	}
	return l.fleet, nil
}

// survey refuses trees that are too large or too deep, and whatever is neither
// a file nor a folder: a link could lead out of what was reviewed.
func (l *loader) survey() {
	files := 0
	for _, root := range []string{"fleet.yaml", "profiles", "bases", "sites"} {
		if info, err := fs.Lstat(l.fsys, root); err == nil && info.Mode()&fs.ModeSymlink != 0 {
			l.link(root) // which WalkDir would follow
			continue
		}
		err := fs.WalkDir(l.fsys, root, func(name string, e fs.DirEntry, err error) error {
			if name == root && errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			if err != nil {
				l.unreadable(name, err)
				return fs.SkipDir
			}
			if files++; files > maxFiles {
				l.add(root, 0, "split the fleet", "more than %d files and folders", maxFiles)
				return fs.SkipAll
			}
			switch {
			case e.IsDir() && strings.Count(name, "/") >= maxFolders:
				l.add(name, 0, "move them up", "folders are nested deeper than %d", maxFolders)
				return fs.SkipDir
			case e.Type()&fs.ModeSymlink != 0:
				l.link(name)
			case !e.IsDir() && !e.Type().IsRegular():
				l.add(name, 0, "copy the files into the repository", "neither a file nor a folder (a submodule?)")
			}
			return nil
		})
		l.addErr(err)
	}
}

func (l *loader) link(name string) {
	l.add(name, 0, "put a copy there, or share it through bases/", "a symbolic link, which a fleet may not have")
}

// read returns a file of the fleet; if it cannot, that is a problem.
func (l *loader) read(file, missingTip string) ([]byte, bool) {
	data, err := ReadFile(l.fsys, file, MaxFileSize)
	switch {
	case err == nil:
		return data, true
	case errors.Is(err, fs.ErrNotExist):
		l.add(file, 0, missingTip, "the file is missing")
	default:
		var p *Problem
		if !errors.As(err, &p) {
			p = &Problem{File: file, Msg: withoutPath(err)}
		}
		l.addErr(p)
	}
	return nil, false
}

// unreadable reports what a file system refuses, by the name that it gives.
func (l *loader) unreadable(name string, err error) {
	if p := new(fs.PathError); errors.As(err, &p) && p.Path != "" {
		name = p.Path
	}
	l.add(name, 0, "a fleet holds files and folders that everybody can read: put a copy there", "%s", withoutPath(err))
}

// withoutPath is what an error of a file system says beside the path.
func withoutPath(err error) string {
	if p := new(fs.PathError); errors.As(err, &p) {
		return p.Err.Error()
	}
	return err.Error()
}

// entriesOf lists a folder, by name; a missing folder is empty.
func (l *loader) entriesOf(dir string) []fs.DirEntry {
	entries, err := fs.ReadDir(l.fsys, dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		l.add(dir, 0, "", "%s", withoutPath(err))
	}
	return slices.DeleteFunc(entries, func(e fs.DirEntry) bool { return strings.HasPrefix(e.Name(), ".") })
}

func (l *loader) uniqueSites() {
	slices.SortFunc(l.fleet.Sites, func(a, b *Site) int { return strings.Compare(a.Dir, b.Dir) })
	first := map[string]string{}
	for _, s := range l.fleet.Sites {
		file := path.Join(s.Dir, "site.yaml")
		if other := first[s.Name]; other != "" {
			l.add(file, 0, "a site's name is unique in the fleet, in all groups", "%s has the same name", other)
			continue
		}
		first[s.Name] = file
	}
}
