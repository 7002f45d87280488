package review

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/holdfast-fleet/holdfast/fleet"
	"github.com/holdfast-fleet/holdfast/render"
)

// usage is what the sites make use of.
type usage struct {
	profiles map[string]bool
	bases    map[string]bool
	of       map[*fleet.Profile]*profileUsage
}

// profileUsage is what the sites of one profile make use of.
type profileUsage struct {
	variables, images, content map[string]bool
	seen                       map[string]bool // keys of what was looked at
}

// usage finds what the sites make use of, as far as they can be built.
func (l *linter) usage() (usage, error) {
	used := usage{map[string]bool{}, map[string]bool{}, map[*fleet.Profile]*profileUsage{}}
	var errs []error
	for _, site := range l.fleet.Sites {
		errs = append(errs, l.use(site, &used)...)
	}
	return used, errors.Join(errs...)
}

// unused notes what is there for nothing.
func (l *linter) unused(used usage) error {
	for _, name := range slices.Sorted(maps.Keys(l.fleet.Profiles)) {
		p := l.fleet.Profiles[name]
		if !used.profiles[name] {
			l.report(fleet.Problem{File: p.Dir + "/profile.yaml", Rule: fleet.RuleUnusedProfile, Msg: "no site runs profile " + name, Tip: "delete " + p.Dir + ", or give it to a site"})
		}
		if of := used.of[p]; of != nil {
			l.unusedVariables(p, of)
			l.unlockedDistribution(p, of)
			l.unusedLocks(p, of)
		}
	}
	return l.unusedBases(used.bases)
}

// use adds what a site uses. What it cannot tell because something does not render
// was found before.
func (l *linter) use(site *fleet.Site, used *usage) (errs []error) {
	p := site.Profile
	used.profiles[p.Name] = true
	of := used.of[p]
	if of == nil {
		of = &profileUsage{map[string]bool{}, map[string]bool{}, map[string]bool{}, map[string]bool{}}
		used.of[p] = of
		for _, layer := range p.Layers {
			for _, name := range render.ProbeVariables(layer) {
				of.variables[name] = true
			}
		}
	}
	for _, layer := range append(slices.Clone(p.Layers), render.DistributionOf(p)) {
		uses, err := l.needs.add(site, layer)
		if errs = append(errs, others(err)...); err != nil || of.seen[uses.Key] {
			continue
		}
		of.seen[uses.Key] = true
		for _, base := range uses.Bases {
			used.bases[base] = true
		}
		for _, at := range uses.Derived {
			l.report(fleet.Problem{File: at.File, Line: at.Line, Rule: fleet.RuleChartRandom, Msg: "what the charts make up here, whoever reads the fleet can compute",
				Tip: "let no password be among it: keep that in a secret of the fleet, encrypted"})
		}
		for _, name := range uses.Variables {
			of.variables[name] = true
		}
		for _, ref := range uses.Images {
			of.images[ref] = true
		}
		if layer.Name == render.DistributionLayer {
			errs = append(errs, others(l.content(site, of))...)
		}
	}
	return errs
}

// content adds what the distribution of a site needs.
func (l *linter) content(site *fleet.Site, of *profileUsage) error {
	if l.options.Needs == nil {
		return nil
	}
	node, err := l.renderer.Node(site)
	if err != nil {
		return err
	}
	d, err := fleet.ParseDistribution(node.Distribution)
	if err != nil {
		return err
	}
	for _, ref := range l.options.Needs(d) {
		of.content[ref] = true
	}
	return nil
}

func (l *linter) unusedVariables(p *fleet.Profile, of *profileUsage) {
	for _, v := range p.Variables {
		if !of.variables[v.Name] {
			l.report(fleet.Problem{File: v.File, Line: v.Line, Rule: fleet.RuleVariableUnused, Msg: fmt.Sprintf("no layer of profile %s uses variable %s", p.Name, v.Name),
				Tip: fmt.Sprintf("write ${%s} where it belongs, or drop it", v.Name)})
		}
	}
}

// unlockedDistribution finds what hosts would not bootstrap with: they take nothing
// of a distribution whose digest is not in the content.lock.
func (l *linter) unlockedDistribution(p *fleet.Profile, of *profileUsage) {
	var missing []string
	for _, ref := range slices.Sorted(maps.Keys(of.content)) {
		if p.Lock.Distribution[ref] == "" {
			missing = append(missing, ref)
		}
	}
	if len(missing) > 0 {
		l.report(fleet.Problem{File: p.Dir + "/profile.yaml", Rule: fleet.RuleUnlockedDistribution,
			Msg: "content.lock has no digest of what the distribution is made of: " + some(missing, 3), Tip: lockTip(p)})
	}
}

// unusedLocks looks through a content.lock. An image whose name has variables
// may be any.
func (l *linter) unusedLocks(p *fleet.Profile, of *profileUsage) {
	file := p.Dir + "/content.lock"
	text, _ := fleet.ReadFile(l.state.FS, file, fleet.MaxFileSize)
	stale := func(locked map[string]string, used map[string]bool) {
		for ref := range locked {
			if !used[ref] {
				l.report(fleet.Problem{File: file, Line: lineOf(text, ref), Rule: fleet.RuleUnusedLock, Msg: fmt.Sprintf("nothing of profile %s uses %s", p.Name, ref), Tip: lockTip(p)})
			}
		}
	}
	varies := false
	for ref := range of.images {
		varies = varies || strings.Contains(ref, "${")
	}
	if !varies {
		stale(p.Lock.Images, of.images)
	}
	if l.options.Needs != nil {
		stale(p.Lock.Distribution, of.content)
	}
}

// lineOf is the first line with a text in it, or 0.
func lineOf(text []byte, what string) int {
	at := bytes.Index(text, []byte(what+":"))
	if at < 0 {
		return 0
	}
	return 1 + bytes.Count(text[:at], []byte("\n"))
}

// unusedBases looks for kustomizations in bases/ that no site builds with.
func (l *linter) unusedBases(used map[string]bool) error {
	return fs.WalkDir(l.state.FS, "bases", func(name string, e fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		if dir := path.Dir(name); slices.Contains(fleet.KustomizationFiles(), e.Name()) && !used[dir] {
			l.report(fleet.Problem{File: name, Rule: fleet.RuleUnusedBase, Msg: "no profile and no site that is built uses " + dir, Tip: "delete the folder, or name it in a kustomization"})
		}
		return nil
	})
}
