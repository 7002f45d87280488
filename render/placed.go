package render

import (
	"bytes"
	"encoding/json"
	"errors"
	"strconv"

	"go.yaml.in/yaml/v3"

	"github.com/holdfast-fleet/holdfast/fleet"
)

// misread says what is wrong with a site's rendered Distribution, and where that is
// written. It reads it once more, a field a line.
func (r *Renderer) misread(site *fleet.Site, from *built, raw []byte) error {
	var lines bytes.Buffer
	if err := json.Indent(&lines, raw, "", " "); err != nil {
		return err
	}
	_, err := fleet.ParseDistribution(lines.Bytes())
	origin := Origin{File: from.file}
	var root yaml.Node
	var d struct {
		APIVersion, Kind string
		Metadata         struct{ Name, Namespace string }
	}
	if json.Unmarshal(raw, &d) == nil && yaml.Unmarshal(lines.Bytes(), &root) == nil {
		if origins, err := r.Origins(site, DistributionOf(site.Profile)); err == nil {
			origin = origins.Of(d.APIVersion, d.Kind, d.Metadata.Namespace, d.Metadata.Name)
		}
	}
	var errs []error
	for _, p := range fleet.Problems(err) {
		placed := &fleet.Problem{File: from.file, Msg: p.Msg, Tip: p.Tip, Rule: p.Rule}
		if at := pathTo(&root, p.Line); len(at) > 0 {
			placed.File, placed.Line = origin.Field(at...)
		}
		errs = append(errs, placed)
	}
	return errors.Join(errs...)
}

// pathTo is the path of the field or item that stands in a line.
func pathTo(n *yaml.Node, line int) []string {
	if line == 0 {
		return nil
	}
	for i, child := range n.Content {
		var step []string
		switch {
		case n.Kind == yaml.MappingNode && i%2 == 0:
			if child.Line == line {
				return []string{child.Value}
			}
			continue
		case n.Kind == yaml.MappingNode:
			step = []string{n.Content[i-1].Value}
		case n.Kind == yaml.SequenceNode:
			step = []string{strconv.Itoa(i)}
			if child.Line == line && child.Kind == yaml.ScalarNode {
				return step
			}
		}
		if below := pathTo(child, line); below != nil {
			return append(step, below...)
		}
	}
	return nil
}
