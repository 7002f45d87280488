package review

import (
	"fmt"
	"slices"

	"github.com/holdfast-fleet/holdfast/fleet"
	"github.com/holdfast-fleet/holdfast/render"
)

// pair is a site in both states; one of them may lack it.
type pair struct {
	name      string
	old, new  *fleet.Site
	partly    bool     // only some layers may differ, and the digests may be of those alone
	layers    []string // which, the distribution among them
	was, is   render.Digests
	changes   []Change
	why       []causes // of changes
	ofHosts   []hostChange
	images    images
	renderers [2]*render.Renderer
	permits   fleet.Permits // of the commits
	changed   changed
}

// either is the site at head, or else at base.
func (p *pair) either() *fleet.Site {
	if p.new != nil {
		return p.new
	}
	return p.old
}

// hostChange is a change of one host alone.
type hostChange struct {
	*fleet.Host
	Change
}

// compare finds out what changes at the site, and why.
func (p *pair) compare() error {
	if err := p.differ(); err != nil {
		return err
	}
	for i := range p.changes {
		why, err := p.explain(&p.changes[i])
		if err != nil {
			return err
		}
		p.why = append(p.why, why)
	}
	return nil
}

func (p *pair) differ() error {
	switch {
	case p.new == nil:
		p.changes = []Change{{Kind: SiteVanished, Object: "site", Danger: "its hosts freeze at what they run",
			Note: "to take a site down, set state: removed on its hosts first"}}
		return nil
	case p.old == nil:
		p.changes = []Change{{Kind: SiteAdded, Object: "site", Note: fmt.Sprintf("profile %s, %s", profileOf(p.new), count(len(p.is.Layers), "layer"))}}
		current, err := p.renderers[1].Layers(p.new, layerNames(p.is))
		if err != nil {
			return err
		}
		return p.findImages(nil, current)
	}
	p.hosts()
	if a, b := profileOf(p.old), profileOf(p.new); a != b {
		p.changes = append(p.changes, Change{Kind: Profile, Object: "profile", Fields: []Field{{Path: "spec.profile", Old: encode(a), New: encode(b)}}})
	}
	p.settings()
	if p.was.Node != p.is.Node {
		if err := p.node(); err != nil {
			return err
		}
	}
	if p.was.Cluster == p.is.Cluster {
		return nil
	}
	return p.cluster()
}

func profileOf(s *fleet.Site) string {
	if s.Profile.Pin.IsZero() {
		return s.Profile.Name
	}
	return fmt.Sprintf("%s at %s (%.12s)", s.Profile.Name, s.Profile.Pin.Tag, s.Profile.Pin.Commit)
}

// cluster renders the layers whose digests differ, and compares them.
func (p *pair) cluster() error {
	old, err := p.renderers[0].Layers(p.old, differing(p.was.Layers, p.is.Layers))
	if err != nil {
		return err
	}
	current, err := p.renderers[1].Layers(p.new, differing(p.is.Layers, p.was.Layers))
	if err != nil {
		return err
	}
	changes, err := compareLayers(old, current, allowed{p.permits, p.new.Prune.Allow})
	if err == nil && len(changes) == 0 {
		changes = []Change{{Kind: Modify, Object: "order of layers", Fields: []Field{{Path: "layers", Old: encode(layerNames(p.was)), New: encode(layerNames(p.is))}}}}
	}
	p.changes = append(p.changes, changes...)
	if err != nil {
		return err
	}
	return p.findImages(old, current)
}

func layerNames(d render.Digests) []string {
	var names []string
	for _, l := range d.Layers {
		names = append(names, l.Name)
	}
	return names
}

// differing names the layers that are not the same among others.
func differing(layers, others []render.LayerDigest) []string {
	var names []string
	for _, l := range layers {
		if !slices.Contains(others, l) {
			names = append(names, l.Name)
		}
	}
	return names
}

// hosts compares which hosts the site has, and what is said of them.
func (p *pair) hosts() {
	for _, old := range p.old.Hosts {
		i := slices.IndexFunc(p.new.Hosts, func(h *fleet.Host) bool { return h.Name == old.Name })
		if i < 0 {
			if old.State == fleet.Active {
				p.ofHosts = append(p.ofHosts, hostChange{old, Change{Kind: HostVanished, Object: "host", Danger: "a host that is no longer listed freezes at what it runs",
					Note: "to take a host out, set its state: removed"}})
			}
			continue
		}
		p.host(old, p.new.Hosts[i])
	}
	for _, h := range p.new.Hosts {
		if !slices.ContainsFunc(p.old.Hosts, func(old *fleet.Host) bool { return old.Name == h.Name }) {
			p.ofHosts = append(p.ofHosts, hostChange{h, Change{Kind: HostAdded, Object: "host", Note: string(h.Role)}})
		}
	}
}

func (p *pair) host(old, current *fleet.Host) {
	if old.State == fleet.Active && current.State == fleet.Removed {
		p.ofHosts = append(p.ofHosts, hostChange{current, Change{Kind: HostRemoved, Object: "host"}})
		return
	}
	say := func(h *fleet.Host) map[string]any {
		fields := map[string]any{"identity": h.Identity, "role": string(h.Role), "state": string(h.State)}
		for name, value := range map[string]string{"address": h.Network.Address, "interface": h.Network.Interface} {
			if value != "" {
				fields[name] = value
			}
		}
		return fields
	}
	if fields := compareObjects(say(old), say(current)); len(fields) > 0 {
		p.ofHosts = append(p.ofHosts, hostChange{current, Change{Kind: HostChanged, Object: "host", Fields: fields}})
	}
}
