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
	return d.Spec.Version, d.found, err
}

// distribution is what is read of a Distribution.
type distribution struct {
	APIVersion, Kind string
	Metadata         struct{ Name, Namespace string }
	Spec             struct{ Version string }

	found []fleet.Problem
}

func (c *objectChecker) distribution(site *fleet.Site) (d distribution, err error) {
	node, err := c.renderer.Node(site)
	if err != nil {
		return d, err
	}
	if err := json.Unmarshal(node.Distribution, &d); err != nil {
		return d, err
	}
	known, err := c.releases.Of(d.Spec.Version)
	if err != nil || known.Exact(d.Spec.Version) {
		return d, err
	}
	origins, err := c.renderer.Origins(site, render.DistributionOf(site.Profile))
	if err != nil {
		return d, err
	}
	minors := kinds.Minors()
	p := fleet.Problem{Rule: fleet.RuleSchemaVersion, Msg: fmt.Sprintf("this program has no schemas of Kubernetes %s: objects are checked with those of %s", d.Spec.Version, known.Minor),
		Tip: fmt.Sprintf("it has those of %s to %s", minors[0], minors[len(minors)-1])}
	p.File, p.Line = origins.Of(d.APIVersion, d.Kind, d.Metadata.Namespace, d.Metadata.Name).Field("spec", "version")
	d.found = []fleet.Problem{p}
	return d, nil
}
