package fleet

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
)

// link makes sites of what was parsed, with all that looks across folders.
// places are in the order of their folders, so that a group comes before what is below it.
func (l *loader) link(places []place) {
	groups := map[string]*group{} // in force, by folder
	var declared []*group
	first := map[string]string{} // site's name → its file
	for i := range places {
		p := &places[i]
		parent := groups[path.Dir(p.dir)]
		if p.site == nil {
			l.adopt(p.dir, Problems(p.problems.err()))
			if p.group != nil {
				p.group.parent = parent
				p.group.suspend.At.File = p.group.file()
				l.sources(p.group.file(), p.dir, false, &p.group.sources)
				l.backup(p.group.file(), p.dir, false, &p.group.backup)
				parent, declared = p.group, append(declared, p.group)
			}
			groups[p.dir] = parent
			continue
		}
		s := l.site(p.dir, p.site, parent)
		if other := first[s.Name]; other != "" {
			l.add(path.Join(s.Dir, "site.yaml"), 0, "a site's name is unique in the fleet, in all groups", "%s has the same name", other).Rule = RuleDuplicateName
		} else {
			first[s.Name] = path.Join(s.Dir, "site.yaml")
		}
		l.fleet.Sites = append(l.fleet.Sites, s)
	}
	if l.Only == nil {
		l.unused(declared)
		l.strangers(l.fleet.suspend, "no site has such a layer")
		for _, g := range declared {
			l.strangers(g.suspend, "no site below has such a layer")
		}
	}
}

func (l *loader) site(dir string, from *siteRecord, in *group) *Site {
	s := &Site{Name: path.Base(dir), Dir: dir, Variables: map[string]any{}, SetAt: map[string]Position{}, Labels: map[string]string{}, Overlays: map[string]string{}}
	file := path.Join(dir, "site.yaml")
	l.adopt(dir, from.wrong)
	if !dnsLabel.MatchString(s.Name) {
		l.add(dir, 0, nameTip, "%q is not a name for a site", s.Name).Rule = RuleBadName
	}
	reader{file, l.problems}.named(from.Name, s.Name)
	groups := in.above()
	l.choose(s, from, groups)
	l.sources(file, dir, true, &from.Sources)
	s.Sources = l.nearest(from, groups)
	s.Prune = nearestPrune(from, groups)
	s.Maintenance = l.nearestMaintenance(from, groups)
	l.backup(file, dir, true, &from.Backup)
	s.Backup = l.nearestBackup(file, from, groups)
	l.suspend(s, from, groups)
	for _, g := range groups {
		s.Groups = append(s.Groups, g.dir)
		if s.Profile != nil {
			g.sites++
		}
		putLabels(s.Labels, g.labels)
	}
	putLabels(s.Labels, from.Labels)
	for _, h := range from.Hosts {
		l.host(s, h)
	}
	l.roles(s)
	if s.Profile != nil {
		l.values(s, from, groups)
		l.overlays(s, from.Overlays)
	}
	return s
}

func putLabels(to map[string]string, labels []scalar) {
	for _, label := range labels {
		to[label.Name] = label.Text
	}
}

// choose finds the profile that the site, or the nearest group, names.
func (l *loader) choose(s *Site, from *siteRecord, groups []*group) {
	c := from.Choice
	s.ChosenIn = path.Join(s.Dir, "site.yaml")
	for _, g := range slices.Backward(groups) {
		if c.Line == 0 {
			c, s.ChosenIn = g.choice, g.file()
		}
	}
	switch {
	case c.Line == 0:
		if len(from.wrong) == 0 { // else what is wrong may be just that
			l.add(path.Join(s.Dir, "site.yaml"), 0, "add spec.profile there, or to the group.yaml of a folder above", "site %s has no profile", s.Name).Rule = RuleNoSuchProfile
		}
	case c.Profile == "": // said already
	case c.Pin.IsZero():
		if s.Profile = l.fleet.Profiles[c.Profile]; s.Profile == nil {
			l.add(s.ChosenIn, c.Line, l.knownProfiles(), "unknown profile %s", c.Profile).Rule = RuleNoSuchProfile
		}
	default:
		s.Profile = l.pin(s.ChosenIn, c)
	}
}

func (l *loader) knownProfiles() string {
	if len(l.fleet.Profiles) == 0 {
		return "create profiles/<name>/profile.yaml"
	}
	return "the profiles are " + strings.Join(slices.Sorted(maps.Keys(l.fleet.Profiles)), ", ")
}

// values takes each variable's value from the site, or else from the nearest
// group, or else its default.
func (l *loader) values(s *Site, from *siteRecord, groups []*group) {
	p, file := s.Profile, path.Join(s.Dir, "site.yaml")
	type given struct {
		scalar
		file string
	}
	values := make(map[string]given, len(p.Variables))
	for _, g := range groups {
		for i, v := range g.variables {
			if _, declared := p.declared[v.Name]; declared {
				g.used[i] = true
				values[v.Name] = given{v, g.file()}
			}
		}
	}
	for _, v := range from.Variables {
		if _, declared := p.declared[v.Name]; !declared {
			tip := "it declares " + strings.Join(p.variableNames(), ", ")
			if len(p.Variables) == 0 {
				tip = "it declares none"
			}
			l.add(file, v.Line, tip, "variable %s is not declared by profile %s", v.Name, p.Name).Rule = RuleVariableUndeclared
			continue
		}
		values[v.Name] = given{v, file}
	}
	for i := range p.Variables {
		v := &p.Variables[i]
		switch value, ok := values[v.Name]; {
		case ok:
			if got, ok := l.value(value.file, value.scalar, v); ok {
				s.Variables[v.Name], s.SetAt[v.Name] = got, Position{value.file, value.Line}
			}
		case v.Required:
			l.add(file, from.Line, fmt.Sprintf("add it under spec.variables, or give it a default in %s:%d", v.File, v.Line),
				"variable %s is required by profile %s", v.Name, p.Name).Rule = RuleVariableMissing
		case v.Default != nil:
			s.Variables[v.Name] = v.Default
		}
	}
}

func (l *loader) overlays(s *Site, overlays []overlayRecord) {
	for _, o := range overlays {
		full, name := path.Join(s.Dir, o.Dir), path.Base(o.Dir)
		at, whose := full, "the overlay of layer "+name
		switch {
		case o.Dir == "distribution":
			at, whose = path.Join(s.Dir, "site.yaml"), "the site's distribution"
		case !slices.ContainsFunc(s.Profile.Layers, func(layer Layer) bool { return layer.Name == name }):
			l.add(full, 0, "name the folder as the layer it changes", "%s is not a layer of profile %s", name, s.Profile.Name).Rule = RuleNoSuchLayer
			continue
		}
		if !o.Kustomization {
			l.noKustomization(full, at, 0, whose)
		}
		s.Overlays[name] = full
	}
}
