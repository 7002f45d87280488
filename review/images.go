package review

import (
	"slices"
	"strings"

	"github.com/holdfast-fleet/holdfast/fleet"
	"github.com/holdfast-fleet/holdfast/render"
)

// images are what layers run that differ.
type images struct {
	was, is []string // sorted
}

func (p *pair) findImages(old, current []render.Layer) error {
	for _, side := range []struct {
		layers []render.Layer
		into   *[]string
	}{{old, &p.images.was}, {current, &p.images.is}} {
		for _, l := range side.layers {
			refs, err := render.Images(l.Objects)
			if err != nil {
				return err
			}
			*side.into = append(*side.into, refs...)
		}
		*side.into = sortedUnique(*side.into)
	}
	return nil
}

// strangers names, for each site, the images from repositories that no content.lock
// of the base names and that nothing runs of what differs.
func strangers(pairs []*pair, before *fleet.Fleet) (in grouper) {
	in = grouper{}
	repositories, registries := map[string]bool{}, map[string]bool{}
	know := func(ref string) {
		name := repository(ref)
		repositories[name] = true
		registry, _, _ := strings.Cut(name, "/")
		registries[registry] = true
	}
	lock := func(p *fleet.Profile) {
		for ref := range p.Lock.Images {
			know(ref)
		}
		for ref := range p.Lock.Distribution {
			know(ref)
		}
	}
	for _, p := range before.Profiles {
		lock(p)
	}
	for _, p := range pairs {
		if p.old != nil {
			lock(p.old.Profile)
		}
		for _, ref := range slices.Concat(p.images.was, p.was.Unlocked) {
			know(ref)
		}
	}
	for _, p := range pairs {
		for _, ref := range p.images.is {
			name := repository(ref)
			if repositories[name] {
				continue
			}
			registry, _, _ := strings.Cut(name, "/")
			c := Change{Kind: NewImage, Object: name, Note: "no image of this repository was in the fleet before"}
			if !registries[registry] {
				c.Note, c.Danger = "", "no image of the registry "+registry+" was in the fleet before"
			}
			in.add(c, nil, p.name, inNodeOrder(p.new)...)
		}
	}
	return in
}

// repository is where an image comes from, with the registry that a runtime takes
// for one that is not named.
func repository(ref string) string {
	ref, _, _ = strings.Cut(ref, "@")
	if colon := strings.LastIndexByte(ref, ':'); colon > strings.LastIndexByte(ref, '/') {
		ref = ref[:colon]
	}
	first, _, found := strings.Cut(ref, "/")
	switch {
	case !found:
		return "docker.io/library/" + ref
	case first != "localhost" && !strings.ContainsAny(first, ".:"):
		return "docker.io/" + ref
	}
	return ref
}

func sortedUnique(names []string) []string {
	names = slices.Clone(names)
	slices.Sort(names)
	return slices.Compact(names)
}
