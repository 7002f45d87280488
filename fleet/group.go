package fleet

import (
	"path"
	"slices"

	"go.yaml.in/yaml/v3"
)

// group is what a group.yaml gives to the sites below its folder.
type group struct {
	dir         string
	parent      *group // nil: none above
	choice      choice
	variables   []scalar
	labels      []scalar
	sources     sourceList
	prune       pruneRule
	suspend     Suspension
	maintenance maintenanceRule
	backup      backupRule
	used        []bool // by index of variables: some site below declares it
	sites       int    // below, whose profile is known
}

func (g *group) file() string { return path.Join(g.dir, "group.yaml") }

// group reads a folder's group.yaml.
func (f folder) group() *group {
	g := &group{dir: f.dir}
	data, ok := f.read("group.yaml", "")
	if !ok {
		return g
	}
	r := reader{"group.yaml", f.problems}
	r.named(r.kubeObject(data, "Group", false, r.groupFields(g)), path.Base(f.dir))
	r.labels(r.file, g.labels)
	g.used = make([]bool, len(g.variables))
	return g
}

func (r reader) groupFields(g *group) map[string]field {
	return map[string]field{
		"profile": r.choiceField(&g.choice, "The profile of the sites below that do not name one"),
		"variables": {false, "Values for the sites below whose profile declares them; a nearer group or the site itself overrides", variableValuesShape, func(n *yaml.Node) {
			g.variables = r.scalars(n, "spec.variables")
		}},
		"labels":      {false, "Labels of the sites below", labelShape, func(n *yaml.Node) { g.labels = r.scalars(n, "labels") }},
		"sources":     r.sourcesField(&g.sources),
		"prune":       r.pruneField(&g.prune),
		"suspend":     r.suspendField(&g.suspend, false, suspendDoc("The sites below")),
		"maintenance": r.maintenanceField(&g.maintenance),
		"backup":      r.backupField(&g.backup),
	}
}

// above lists the groups in force below the folder, outermost first.
func (g *group) above() []*group {
	var list []*group
	for ; g != nil; g = g.parent {
		list = append(list, g)
	}
	slices.Reverse(list)
	return list
}

// unused reports variables that no site below a group has any use for.
func (l *loader) unused(groups []*group) {
	for _, g := range groups {
		for i, v := range g.variables {
			if g.sites > 0 && !g.used[i] {
				l.add(g.file(), v.Line, "declare it in the profile of a site, or drop it",
					"variable %s is declared by no profile below", v.Name).Rule = RuleVariableUndeclared
			}
		}
	}
}
