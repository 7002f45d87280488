package fleet

import (
	"errors"
	"io/fs"
	"path"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Options say how a fleet is loaded. The zero Options load all of it.
type Options struct {
	// Pins finds what pinned profiles are read from. Without it a pin is a problem.
	Pins Pins
	// Memo is used if the file system is a [Digester].
	Memo Memo
	// Only tells which sites are loaded, by their folders; nil: all. What holds
	// among all sites, such as unique names, then holds among those.
	Only func(dir string) bool
	// Within tells which folders below sites/ may hold such sites; nil: all. The
	// others are not even looked into.
	Within func(dir string) bool
}

// Pins finds the tree of a commit that a signed tag names. It must lie on the
// verified line of the fleet's own history.
type Pins interface {
	At(tag, commit string) (fs.FS, error)
}

type loader struct {
	Options
	fsys fs.FS
	*problems
	fleet      *Fleet
	pinned     map[choice]*Profile     // by choice without its line; nil: it does not load
	identities map[string]string       // public key → file of its host
	suspended  map[suspendedLayer]bool // that some site has
}

// Load reads the fleet that a repository declares. Its error joins every
// [Problem] found, in a stable order; see [Problems].
func Load(fsys fs.FS) (*Fleet, error) { return LoadWith(fsys, Options{}) }

// LoadWith is [Load] with options.
func LoadWith(fsys fs.FS, options Options) (*Fleet, error) {
	l := load(fsys, options)
	if err := l.err(); err != nil {
		return nil, err
	}
	return l.fleet, nil
}

// load reads as much as can be read.
func load(fsys fs.FS, options Options) *loader {
	l := &loader{
		Options: options, fsys: fsys, problems: &problems{}, fleet: &Fleet{Profiles: map[string]*Profile{}},
		pinned: map[choice]*Profile{}, identities: map[string]string{}, suspended: map[suspendedLayer]bool{},
	}
	places := l.survey()
	if len(l.list) > 0 || !l.root() {
		return l
	}
	l.agent()
	for _, name := range profileNames(fsys, l.problems) {
		l.fleet.Profiles[name] = loadProfile(fsys, name, l.problems)
	}
	l.link(places)
	return l
}

// survey reads all below sites/ and refuses trees that are too large or too
// deep, and whatever is neither a file nor a folder, in all of the fleet.
func (l *loader) survey() []place {
	files := 0
	for _, root := range []string{"fleet.yaml", agentFile, "profiles", "bases", "sites"} {
		if info, err := fs.Lstat(l.fsys, root); err == nil && !info.IsDir() {
			l.regular(root, fs.FileInfoToDirEntry(info))
		} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
			folder{l.fsys, root, l.problems, nil}.unreadable(root, err)
		}
	}
	if len(l.list) == 0 {
		for _, root := range []string{"profiles", "bases"} {
			height := 0
			found := folder{l.fsys, root, &problems{}, map[string][]fs.DirEntry{}}
			found.survey(".", 0, &files, &height)
			l.adopt(root, Problems(found.err()))
		}
	}
	places := l.places()
	for i := range places {
		p := &places[i]
		if files += p.files; p.site != nil {
			files += p.site.Files
			if p.site.foul {
				l.adopt(p.dir, p.site.wrong)
			}
			if strings.Count(p.dir, "/")+p.site.Height >= MaxFolders {
				l.add(p.dir, 0, deepTip, "folders are nested deeper than %d", MaxFolders).Rule = RuleTooLarge
			}
		}
		if p.foul {
			l.adopt(p.dir, Problems(p.problems.err()))
		}
	}
	if files > maxFiles {
		l.add("sites", 0, "split the fleet", "more than %d files and folders", maxFiles).Rule = RuleTooLarge
	}
	return places
}

// adopt reports what was found below a folder.
func (ps *problems) adopt(dir string, found []*Problem) {
	for _, p := range found {
		ps.add(path.Join(dir, p.File), p.Line, p.Tip, "%s", p.Msg).Rule = p.Rule
	}
}

// root reads fleet.yaml.
func (l *loader) root() bool {
	data, ok := folder{l.fsys, ".", l.problems, nil}.read("fleet.yaml", "a fleet has it at its root: name that folder, or go there")
	if ok {
		r := reader{"fleet.yaml", l.problems}
		l.fleet.Name = r.kubeObject(data, "Fleet", true, r.fleetFields(l.fleet)).Name
		l.sources("fleet.yaml", "sites", false, &l.fleet.sources)
		l.backup("fleet.yaml", "sites", false, &l.fleet.backup)
	}
	return ok
}

func (r reader) fleetFields(f *Fleet) map[string]field {
	return map[string]field{
		"freshness": {false, "How long a host may hear nothing new before it reports that it is stale: 12h, 30d; default for ever", matching(daysPattern), func(n *yaml.Node) {
			f.Freshness = r.days(n, "freshness")
		}},
		"sources":     r.sourcesField(&f.sources),
		"suspend":     r.suspendField(&f.suspend, false, suspendDoc("All sites")),
		"maintenance": r.maintenanceField(&f.maintenance),
		"backup":      r.backupField(&f.backup),
	}
}
