package fleet

import (
	"io/fs"
	"path"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// siteRecord is what a site's folder says by itself: a pure function of its
// files, wherever the folder stands. Files in it are named from the folder.
type siteRecord struct {
	Files  int `json:"f"` // and folders in it
	Height int `json:"h"` // folders nested in each other

	Name        nameAt          `json:"n,omitzero"`
	Choice      choice          `json:"c,omitzero"`
	Line        int             `json:"l,omitempty"` // of spec.variables, for those that lack
	Variables   []scalar        `json:"v,omitempty"`
	Labels      []scalar        `json:"b,omitempty"`
	Sources     sourceList      `json:"u,omitzero"`
	Prune       pruneRule       `json:"p,omitzero"`
	Suspend     Suspension      `json:"w,omitzero"`
	Maintenance maintenanceRule `json:"m,omitzero"`
	Backup      backupRule      `json:"k,omitzero"`
	Hosts       []hostRecord    `json:"o,omitempty"`
	Overlays    []overlayRecord `json:"y,omitempty"`

	wrong []*Problem // a record with problems is not kept
	foul  bool       // has what no fleet may have, or cannot be read
}

type hostRecord struct {
	Name     string `json:"n"`
	Identity string `json:"i,omitempty"`
	Line     int    `json:"l,omitempty"` // of the identity
	Role     Role   `json:"r"`
	State    State  `json:"s"`

	Network   Network `json:"w,omitzero"`
	AddressAt int     `json:"a,omitempty"` // line of the address
}

// overlayRecord is a folder over a layer, or distribution.
type overlayRecord struct {
	Dir           string `json:"d"` // addons/<layer>, or distribution
	Kustomization bool   `json:"k"`
}

// siteParser reads one site's folder.
type siteParser struct {
	folder
	*siteRecord
}

// parseSite reads the site in dir.
func parseSite(fsys fs.FS, dir string) *siteRecord {
	p := siteParser{folder{fsys, dir, &problems{}, map[string][]fs.DirEntry{}}, &siteRecord{}}
	p.survey(".", 0, &p.Files, &p.Height)
	if len(p.list) > 0 {
		p.foul = true
	} else {
		p.site()
	}
	p.wrong = Problems(p.err())
	return p.siteRecord
}

func (p siteParser) site() {
	data, ok := p.read("site.yaml", "")
	if !ok {
		return
	}
	r := reader{"site.yaml", p.problems}
	p.Name = r.kubeObject(data, "Site", false, r.siteFields(p.siteRecord))
	r.labels(r.file, p.Labels)
	for _, e := range p.entries["."] {
		switch {
		case e.Name() == "group.yaml":
			p.add("group.yaml", 0, "move it to a folder above the site, or its values into site.yaml", "a site is no group").Rule = RuleIrregularFile
		case !e.IsDir():
		case e.Name() == "hosts":
			p.hosts()
		case e.Name() == "addons":
			for _, layer := range p.entries["addons"] {
				if layer.IsDir() && !hidden(layer) {
					p.overlay(path.Join("addons", layer.Name()))
				}
			}
		case e.Name() == "distribution":
			p.overlay("distribution")
		default:
			p.none(e.Name())
		}
	}
}

// none refuses sites in a folder of the site that nothing is loaded from.
func (p siteParser) none(dir string) {
	for _, e := range p.entries[dir] {
		switch full := path.Join(dir, e.Name()); {
		case e.IsDir():
			p.none(full)
		case e.Name() == "site.yaml":
			p.add(full, 0, "move its folder beside that of the other, or above both into a group", "a site within a site").Rule = RuleIrregularFile
		}
	}
}

func (r reader) siteFields(s *siteRecord) map[string]field {
	return map[string]field{
		"profile": r.choiceField(&s.Choice, "The profile that the site runs, by name or pinned to a tag; default: that of its group"),
		"variables": {false, "Values of variables that the profile declares", variableValuesShape, func(n *yaml.Node) {
			s.Line, s.Variables = n.Line, r.scalars(n, "spec.variables")
		}},
		"labels":      {false, "To select sites by", labelShape, func(n *yaml.Node) { s.Labels = r.scalars(n, "labels") }},
		"sources":     r.sourcesField(&s.Sources),
		"prune":       r.pruneField(&s.Prune),
		"suspend":     r.suspendField(&s.Suspend, false, suspendDoc("The site")),
		"maintenance": r.maintenanceField(&s.Maintenance),
		"backup":      r.backupField(&s.Backup),
	}
}

func (p siteParser) overlay(dir string) {
	p.Overlays = append(p.Overlays, overlayRecord{dir, slices.ContainsFunc(p.entries[dir], func(e fs.DirEntry) bool {
		return slices.Contains(KustomizationFiles(), e.Name())
	})})
}

func (p siteParser) hosts() {
	for _, e := range p.entries["hosts"] {
		if hidden(e) {
			continue
		}
		file := path.Join("hosts", e.Name())
		name, isYAML := strings.CutSuffix(e.Name(), ".yaml")
		if e.IsDir() || !isYAML {
			if e.Name() != "README.md" {
				p.add(file, 0, "a host is a file hosts/<name>.yaml", "not a host").Rule = RuleIrregularFile
			}
			continue
		}
		if !dnsLabel.MatchString(name) {
			p.add(file, 0, nameTip, "%q is not a name for a host", name).Rule = RuleBadName
		}
		if data, ok := p.read(file, ""); ok {
			h := hostRecord{Name: name, Role: ControlPlane, State: Active}
			r := reader{file, p.problems}
			r.named(r.kubeObject(data, "Host", false, r.hostFields(&h)), name)
			p.Hosts = append(p.Hosts, h)
		}
	}
}

func (r reader) hostFields(h *hostRecord) map[string]field {
	return map[string]field{
		"identity": {true, "The public key that \"holdfast register\" prints on the host", matching(`^ssh-ed25519 [A-Za-z0-9+/]{68}( .*)?$`), func(n *yaml.Node) {
			key, err := parseIdentity(r.text(n, "identity"))
			if err != nil {
				r.problem(n, "copy what \"holdfast register\" prints on the host", "identity: %s", err)
				return
			}
			h.Identity, h.Line = key, n.Line
		}},
		"role": {false, "Default control-plane", oneOf(string(ControlPlane), string(Worker)), func(n *yaml.Node) {
			if h.Role = Role(r.text(n, "role")); h.Role != ControlPlane && h.Role != Worker {
				r.problem(n, "the roles are control-plane and worker", "unknown role %s", h.Role)
			}
		}},
		"state": {false, "A host is removed by saying so, never by leaving it out; default active", oneOf(string(Active), string(Removed)), func(n *yaml.Node) {
			if h.State = State(r.text(n, "state")); h.State != Active && h.State != Removed {
				r.problem(n, "the states are active and removed", "unknown state %s", h.State)
			}
		}},
		"network": {false, "Where the host is found by others", mapping(r.networkFields(h)), func(n *yaml.Node) { r.object(n, "network", r.networkFields(h)) }},
	}
}
