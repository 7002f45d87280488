package fleet

import (
	"io/fs"
	"path"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// place is a folder below sites/: a site, or a group's.
type place struct {
	dir      string
	site     *siteRecord // nil: no site
	group    *group      // that is in force there
	children []place     // of a folder that is no site
	files    int
	problems problems
	foul     bool
}

// places reads all below sites/, one level after the other, each in parallel.
func (l *loader) places() []place {
	if info, err := fs.Lstat(l.fsys, "sites"); err != nil || !info.IsDir() {
		return nil
	}
	level := []place{{dir: "sites"}}
	var all []place
	for len(level) > 0 {
		parallel(len(level), func(i int) { l.place(&level[i]) })
		all = append(all, level...)
		var next []place
		for _, p := range level {
			next = append(next, p.children...)
		}
		level = next
	}
	slices.SortFunc(all, func(a, b place) int { return strings.Compare(a.dir, b.dir) })
	return all
}

// parallel calls do for 0 to n-1, on all cores.
func parallel(n int, do func(int)) {
	var next atomic.Int64
	var workers sync.WaitGroup
	for range min(n, runtime.GOMAXPROCS(0)) {
		workers.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				do(i)
			}
		})
	}
	workers.Wait()
}

// place finds out what a folder is and reads it.
func (l *loader) place(p *place) {
	key := ""
	if p.dir != "sites" && (l.Only == nil || l.Only(p.dir)) {
		if key = l.key(p.dir); key != "" {
			if p.site = recall(l.Memo, key); p.site != nil {
				return
			}
		}
	}
	f := folder{l.fsys, p.dir, &p.problems, nil}
	entries, err := fs.ReadDir(l.fsys, p.dir)
	if err != nil {
		f.unreadable(".", err)
		p.foul = true
		return
	}
	if !slices.ContainsFunc(entries, func(e fs.DirEntry) bool { return e.Name() == "site.yaml" }) {
		p.foul = !l.groupFolder(p, f, entries)
		return
	}
	if l.Only != nil && !l.Only(p.dir) {
		return
	}
	p.site = parseSite(l.fsys, p.dir)
	if key != "" && len(p.site.wrong) == 0 {
		keep(l.Memo, key, p.site)
	}
}

// groupFolder reads a folder that is no site. It is false if there is something
// in it that no fleet may have.
func (l *loader) groupFolder(p *place, f folder, entries []fs.DirEntry) bool {
	fair := true
	for _, e := range entries {
		p.files++
		switch full := path.Join(p.dir, e.Name()); {
		case !p.problems.regular(e.Name(), e):
			fair = false
		case e.IsDir() && strings.Count(full, "/") >= MaxFolders:
			f.add(e.Name(), 0, deepTip, "folders are nested deeper than %d", MaxFolders).Rule = RuleTooLarge
			fair = false
		case e.Name() == "group.yaml":
			p.group = f.group()
		case !e.IsDir():
		case slices.Contains([]string{"hosts", "addons", "distribution"}, e.Name()):
			f.add("site.yaml", 0, "create it, or move "+full+" below a site", "the file is missing beside %s", full).Rule = RuleMissingFile
			fair = p.unused(f, e) && fair
		case hidden(e):
			fair = p.unused(f, e) && fair
		case l.Within != nil && !l.Within(full):
		default:
			p.children = append(p.children, place{dir: full})
		}
	}
	return fair
}

// unused looks through a folder that nothing is loaded from.
func (p *place) unused(f folder, e fs.DirEntry) bool {
	height, found := 0, folder{f.fsys, f.dir, &problems{}, map[string][]fs.DirEntry{}}
	found.survey(e.Name(), 1, &p.files, &height)
	p.problems.list = append(p.problems.list, found.list...)
	return len(found.list) == 0
}
