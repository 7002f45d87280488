package review

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/holdfast-fleet/holdfast/fleet"
	"github.com/holdfast-fleet/holdfast/kinds"
	"github.com/holdfast-fleet/holdfast/render"
)

// api finds what the cluster of a site takes: its version of Kubernetes, and the
// custom kinds that its layers define.
func (c *objectChecker) api(site *fleet.Site, layers []builtLayer, values render.Values) (*api, []fleet.Problem, error) {
	version, found, err := c.version(site)
	if err != nil {
		return nil, nil, err
	}
	name := version
	var definitions []json.RawMessage
	for _, layer := range layers {
		for _, shape := range layer.List {
			if !kinds.IsDefinition(shape.APIVersion, shape.Kind) {
				continue
			}
			_, raw, err := shape.Object(values)
			if err != nil {
				return nil, nil, err
			}
			definitions = append(definitions, raw)
			name += fmt.Sprintf(" %x", sha256.Sum256(raw))
		}
	}
	got, err := c.apis.get(name, func() (*api, error) {
		known, err := c.releases.Of(version)
		if err != nil {
			return nil, err
		}
		return &api{name, known.With(definitions)}, nil
	})
	return got, found, err
}

// version finds the version of Kubernetes of a site, and says if its schemas are missing.
func (c *objectChecker) version(site *fleet.Site) (string, []fleet.Problem, error) {
	shapes, err := c.renderer.Shapes(site, render.DistributionOf(site.Profile))
	if err != nil {
		return "", nil, err
	}
	find := func() (distribution, error) { return c.distribution(site) }
	var d distribution
	if slices.ContainsFunc(shapes.List, render.Shape.Varies) {
		d, err = find()
	} else {
		d, err = c.distributions.get(shapes.Key, find)
	}
	return d.Version, d.found, err
}

// distribution is one, and what is wrong with its version.
type distribution struct {
	fleet.Distribution
	found []fleet.Problem
}

func (c *objectChecker) distribution(site *fleet.Site) (d distribution, err error) {
	node, err := c.renderer.Node(site)
	if err != nil {
		return d, err
	}
	if d.Distribution, err = fleet.ParseDistribution(node.Distribution); err != nil {
		return d, err
	}
	known, err := c.releases.Of(d.Version)
	if err != nil {
		return d, err
	}
	p := c.options.unknownVersion(d.Distribution)
	if p == nil && known.Exact(d.Version) {
		return d, nil
	}
	if p == nil {
		minors := kinds.Minors()
		p = &fleet.Problem{Rule: fleet.RuleSchemaVersion, Msg: fmt.Sprintf("this program has no schemas of Kubernetes %s: objects are checked with those of %s", d.Version, known.Minor),
			Tip: fmt.Sprintf("it has those of %s to %s", minors[0], minors[len(minors)-1])}
	}
	err = placeVersion(c.renderer, site, node, p)
	d.found = []fleet.Problem{*p}
	return d, err
}

// unknownVersion says that hosts do not know how to run a distribution, or nil.
func (o Options) unknownVersion(d fleet.Distribution) *fleet.Problem {
	if o.Check == nil {
		return nil
	}
	err := o.Check(d)
	if err == nil {
		return nil
	}
	return &fleet.Problem{Rule: fleet.RuleDistributionVersion, Msg: err.Error(), Tip: hintOf(err)}
}

// placeVersion notes where the version of a site's distribution is written.
func placeVersion(r *render.Renderer, site *fleet.Site, node render.Node, p *fleet.Problem) error {
	origins, err := r.Origins(site, render.DistributionOf(site.Profile))
	if err != nil {
		return err
	}
	var d struct {
		APIVersion, Kind string
		Metadata         struct{ Name, Namespace string }
	}
	if err := json.Unmarshal(node.Distribution, &d); err != nil {
		return err
	}
	p.File, p.Line = origins.Of(d.APIVersion, d.Kind, d.Metadata.Namespace, d.Metadata.Name).Field("spec", "version")
	return nil
}
