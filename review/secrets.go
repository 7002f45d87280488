package review

import (
	"cmp"
	"io/fs"
	"maps"
	"slices"
	"strings"

	"github.com/holdfast-fleet/holdfast/fleet"
	"github.com/holdfast-fleet/holdfast/render"
	"github.com/holdfast-fleet/holdfast/secrets"
)

// Secret is a SOPS document of a fleet, and who needs it.
type Secret struct {
	File       string   `json:"file"`
	Pin        string   `json:"pin,omitempty"` // the tag of the profile that has it so; none: it is as in the tree
	Digest     string   `json:"digest,omitempty"`
	Recipients []string `json:"recipients"`
	Layers     []string `json:"layers"`           // that hold it, at any site
	Hosts      []string `json:"hosts"`            // that need it
	Cannot     []string `json:"cannot,omitempty"` // of those, open it
	Problem    error    `json:"-"`                // why nobody can

	sites []string             // of Cannot
	asked map[*fleet.Host]bool // whether they can open it
}

// Secrets finds the SOPS documents of a fleet, and the hosts that cannot open what
// they need: what the layers and the distribution of their site hold, and the
// credentials of its sources and backups. Its error joins [fleet.Problem]s of
// layers that cannot be built.
func Secrets(fsys fs.FS, f *fleet.Fleet, r *render.Renderer) ([]Secret, error) {
	n := newNeeds(r)
	var errs []error
	logins := map[string][]*fleet.Site{}
	for _, site := range f.Sites {
		for _, layer := range append(slices.Clone(site.Profile.Layers), render.DistributionOf(site.Profile)) {
			_, err := n.add(site, layer)
			errs = append(errs, err)
		}
		for _, one := range loginsOf(site) {
			logins[one.document] = append(logins[one.document], site)
		}
	}
	if err := fleet.Join(errs...); err != nil {
		return nil, err
	}
	err := secrets.Find(fsys, ".", nil, func(file string, data []byte) {
		found := n.secret(document{file: file})
		doc, err := secrets.Parse(file, data)
		if found.Problem = err; err == nil {
			found.Digest, found.Recipients = doc.Digest(), doc.Recipients()
		}
		for _, site := range logins[file] {
			found.need(site, site.Active())
		}
	})
	return n.list(), err
}

// document is a SOPS document, maybe at a pin.
type document struct{ file, pin string }

// needs are the SOPS documents that the layers of sites hold.
type needs struct {
	renderer *render.Renderer
	uses     map[string]render.Uses // by the key of what they are built from
	of       map[document]*Secret
}

func newNeeds(r *render.Renderer) *needs {
	return &needs{r, map[string]render.Uses{}, map[document]*Secret{}}
}

// add finds what a layer of a site uses, and notes the secrets among it. Its error
// joins [fleet.Problem]s.
func (n *needs) add(site *fleet.Site, layer fleet.Layer) (render.Uses, error) {
	key, err := n.renderer.InputKey(site, layer)
	if err != nil {
		return render.Uses{}, err
	}
	uses, known := n.uses[key]
	if !known {
		if uses, err = n.renderer.Uses(site, layer); err != nil {
			return uses, err
		}
		n.uses[key] = uses
	}
	for _, s := range uses.Secrets {
		at := document{file: s.File}
		if p := site.Profile; strings.HasPrefix(s.File, p.Dir+"/") || strings.HasPrefix(s.File, "bases/") {
			at.pin = p.Pin.Tag
		}
		found := n.secret(at)
		found.Digest, found.Recipients = s.Digest, s.Recipients
		if i, known := slices.BinarySearch(found.Layers, layer.Name); !known {
			found.Layers = slices.Insert(found.Layers, i, layer.Name)
		}
		if layer.Name == render.DistributionLayer {
			found.need(site, site.Active())
		} else {
			found.need(site, appliers(site))
		}
	}
	return uses, nil
}

// appliers are the hosts of a site that may apply its layers.
func appliers(site *fleet.Site) []*fleet.Host {
	return slices.DeleteFunc(slices.Clone(site.Active()), func(h *fleet.Host) bool { return h.Role != fleet.ControlPlane })
}

func (n *needs) secret(at document) *Secret {
	if n.of[at] == nil {
		n.of[at] = &Secret{File: at.file, Pin: at.pin, Recipients: []string{}, Layers: []string{}, Hosts: []string{}, asked: map[*fleet.Host]bool{}}
	}
	return n.of[at]
}

// list orders the documents by their names.
func (n *needs) list() []Secret {
	list := []Secret{}
	for _, at := range slices.SortedFunc(maps.Keys(n.of), func(a, b document) int {
		return cmp.Or(strings.Compare(a.file, b.file), strings.Compare(a.pin, b.pin))
	}) {
		list = append(list, *n.of[at])
	}
	return list
}

// need notes that hosts of a site need the document.
func (s *Secret) need(site *fleet.Site, hosts []*fleet.Host) {
	for _, h := range hosts {
		if s.asked[h] {
			continue
		}
		s.asked[h] = true
		if s.Hosts = append(s.Hosts, h.Name); slices.Contains(s.Recipients, h.Identity) {
			continue
		}
		s.Cannot = append(s.Cannot, h.Name)
		if last := len(s.sites) - 1; last < 0 || s.sites[last] != site.Name {
			s.sites = append(s.sites, site.Name)
		}
	}
}

// unreadable lists the secrets that hosts cannot open at head: of layers that
// differ, and of all that they run if the hosts do, or their profile.
func unreadable(pairs []*pair, r *render.Renderer) ([]Group, error) {
	n := newNeeds(r)
	for _, p := range pairs {
		if p.new == nil {
			continue
		}
		names := differing(p.is.Layers, p.was.Layers)
		if p.was.Node != p.is.Node {
			names = append(names, render.DistributionLayer)
		}
		all := p.old == nil || !slices.EqualFunc(p.old.Active(), p.new.Active(), sameKey)
		for _, layer := range append(slices.Clone(p.new.Profile.Layers), render.DistributionOf(p.new.Profile)) {
			if !all && !slices.Contains(names, layer.Name) {
				continue
			}
			if _, err := n.add(p.new, layer); err != nil {
				return nil, err
			}
		}
	}
	var groups []Group
	for _, s := range n.list() {
		if len(s.Cannot) > 0 {
			groups = append(groups, s.group())
		}
	}
	return groups, nil
}

func sameKey(a, b *fleet.Host) bool {
	return a.Name == b.Name && a.Identity == b.Identity && a.Role == b.Role
}

func (s *Secret) group() Group {
	c := Change{Kind: Unreadable, Object: s.Name(), Danger: "these hosts cannot open it" + s.use(), Note: s.Tip()}
	return Group{Change: c, Sites: s.sites, Hosts: s.Cannot, Causes: []Cause{}}
}

// Name is the file, and at which pin.
func (s *Secret) Name() string {
	if s.Pin == "" {
		return s.File
	}
	return s.File + " at " + s.Pin
}

// Text says who cannot open it.
func (s *Secret) Text() string { return someOf(s.Cannot) + " cannot open it" + s.use() }

func (s *Secret) use() string {
	switch len(s.Layers) {
	case 0:
		return ""
	case 1:
		return ", and layer " + s.Layers[0] + " needs it"
	}
	return ", and layers " + strings.Join(s.Layers, ", ") + " need it"
}

// Tip says how hosts are made recipients.
func (s *Secret) Tip() string {
	if s.Pin != "" {
		return rotateTip(s.File) + ", tag the profile, and move the pin"
	}
	return rotateTip(s.File)
}

func rotateTip(file string) string {
	return "add the identity of their host files to .sops.yaml, then: holdfast secrets rotate " + file
}
