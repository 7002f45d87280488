package render

import (
	"encoding/json"
	"maps"
	"slices"

	"github.com/holdfast-fleet/holdfast/fleet"
	"github.com/holdfast-fleet/holdfast/secrets"
)

// Uses says what a layer, or the distribution, of a site makes use of.
type Uses struct {
	Key       string     `json:"-"` // the same for what is built from the same files
	Bases     []string   `json:"-"` // folders of bases/ that it reads
	Variables []string   `json:"variables,omitempty"`
	Images    []string   `json:"images,omitempty"` // as they are written, maybe with variables
	Secrets   []Secret   `json:"secrets,omitempty"`
	Derived   []Position `json:"derived,omitempty"` // where charts are let make something up
}

// Position is where something stands.
type Position struct {
	File string `json:"file"`
	Line int    `json:"line"`
}

// Secret is a SOPS document that a layer holds.
type Secret struct {
	File       string   `json:"file"`
	Digest     string   `json:"digest"`
	Recipients []string `json:"recipients"`
}

// Uses returns what a layer of a site makes use of. Its error joins
// [fleet.Problem]s.
func (r *Renderer) Uses(site *fleet.Site, layer fleet.Layer) (Uses, error) {
	in, err := r.inputOf(site, layer)
	if err != nil {
		return Uses{}, err
	}
	u := Uses{Key: in.key, Bases: in.bases}
	if kept, ok := r.memo.Get("uses " + in.key); ok && json.Unmarshal(kept, &u) == nil {
		return u, nil
	}
	from, err := r.build(in)
	if err != nil {
		return Uses{}, err
	}
	if in, err = in.scanned(); err != nil {
		return Uses{}, err
	}
	u.Derived = in.scan.derived
	variables, images := map[string]bool{}, map[string]bool{}
	for _, t := range from.templates {
		for _, name := range t.uses() {
			variables[name] = true
		}
		for _, s := range t.Slots {
			if s.Image {
				images[s.Value] = true
			}
		}
	}
	for _, file := range slices.Sorted(maps.Keys(from.sealed)) {
		doc, err := secrets.Parse(file, from.sealed[file])
		if err != nil {
			return Uses{}, secretProblem(file, err)
		}
		u.Secrets = append(u.Secrets, Secret{file, doc.Digest(), doc.Recipients()})
	}
	u.Variables, u.Images = slices.Sorted(maps.Keys(variables)), slices.Sorted(maps.Keys(images))
	if kept, err := json.Marshal(u); err == nil {
		r.memo.Put("uses "+in.key, kept)
	}
	return u, nil
}

// InputKey names what a layer of a site is built from.
func (r *Renderer) InputKey(site *fleet.Site, layer fleet.Layer) (string, error) {
	in, err := r.inputOf(site, layer)
	if err != nil {
		return "", err
	}
	return in.key, nil
}

// Key says all that rendering a site depends on. Its error joins [fleet.Problem]s.
func (r *Renderer) Key(site *fleet.Site) (string, error) { return r.siteName(site) }
