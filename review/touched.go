package review

import (
	"slices"

	"github.com/holdfast-fleet/holdfast/fleet"
	"github.com/holdfast-fleet/holdfast/render"
)

// touched leaves out the sites that are made of the same in both states: those need
// no rendering. Of the others, it notes which layers may differ.
func touched(pairs []*pair, old, current *render.Renderer) []*pair {
	both := slices.DeleteFunc(slices.Clone(pairs), func(p *pair) bool { return p.old == nil || p.new == nil })
	was := old.Inputs(sitesOf(both, func(p *pair) *fleet.Site { return p.old }))
	is := current.Inputs(sitesOf(both, func(p *pair) *fleet.Site { return p.new }))
	for i, p := range both {
		if p.partly = is[i].Declared != "" && is[i].Declared == was[i].Declared; p.partly {
			p.layers = differing(is[i].Layers, was[i].Layers)
		}
	}
	return slices.DeleteFunc(pairs, func(p *pair) bool {
		return p.partly && len(p.layers) == 0 && p.same() // by all but the digests, which are not known yet
	})
}

// digestChanged finds the digests of all sites in both states: of the layers that
// may differ alone, where those cannot get in the way of others. Its error is as of [Diff].
func digestChanged(pairs []*pair, base State, old, current *render.Renderer) error {
	var partly, whole []*pair
	var layers [][]string
	for _, p := range pairs {
		if !p.partly {
			whole = append(whole, p)
			continue
		}
		partly, layers = append(partly, p), append(layers, p.layers)
	}
	is, err := current.Parts(sitesOf(partly, func(p *pair) *fleet.Site { return p.new }), layers)
	if err != nil {
		_, others := current.Digests(sitesOf(whole, func(p *pair) *fleet.Site { return p.new }))
		return fleet.Join(err, others)
	}
	was, err := old.Parts(sitesOf(partly, func(p *pair) *fleet.Site { return p.old }), layers)
	if err != nil {
		return unusable(base, err)
	}
	for i, p := range partly {
		if p.was, p.is = was[i].Digests, is[i].Digests; adds(was[i], is[i]) {
			whole = append(whole, p)
		}
	}
	return digest(whole, base, old, current)
}

// adds tells that some layers of a site make objects that they did not make before,
// or use images without a digest: then it matters what others have.
func adds(was, is render.Part) bool {
	for object := range is.Objects {
		if was.Objects[object] == "" {
			return true
		}
	}
	return slices.ContainsFunc(is.Unlocked, func(ref string) bool { return !slices.Contains(was.Unlocked, ref) })
}

// digest finds the digests of all sites in both states.
func digest(pairs []*pair, base State, old, current *render.Renderer) error {
	was, is := sitesOf(pairs, func(p *pair) *fleet.Site { return p.old }), sitesOf(pairs, func(p *pair) *fleet.Site { return p.new })
	now, err := current.Digests(is)
	if err != nil {
		return err
	}
	then, err := old.Digests(was)
	if err != nil {
		return unusable(base, err)
	}
	for _, p := range pairs {
		if p.old != nil {
			p.was, then = then[0], then[1:]
		}
		if p.new != nil {
			p.is, now = now[0], now[1:]
		}
	}
	return nil
}

func sitesOf(pairs []*pair, of func(*pair) *fleet.Site) []*fleet.Site {
	var sites []*fleet.Site
	for _, p := range pairs {
		if s := of(p); s != nil {
			sites = append(sites, s)
		}
	}
	return sites
}
