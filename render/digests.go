package render

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"slices"

	"github.com/holdfast-fleet/holdfast/fleet"
)

// Digests are what the hosts of a site report when they run what they should.
type Digests struct {
	Cluster  string        `json:"cluster"`
	Node     string        `json:"node"`
	Layers   []LayerDigest `json:"layers"`
	Unlocked []string      `json:"unlocked,omitempty"` // images without a digest, sorted
}

// LayerDigest is the digest of one layer.
type LayerDigest struct {
	Name   string `json:"name"`
	Digest string `json:"digest"`
}

// All renders every site of the fleet, with or without hosts, for what is
// wrong with them: its error joins the [fleet.Problem]s in a stable order.
func All(fsys fs.FS, f *fleet.Fleet) error {
	r := New(fsys, Options{})
	defer r.Close()
	_, err := r.Digests(f.Sites)
	return err
}

// Digests renders sites, or remembers what came of it. The results are in the
// order of the sites; those that did not render are zero, and the error joins the
// [fleet.Problem]s in a stable order.
func (r *Renderer) Digests(sites []*fleet.Site) ([]Digests, error) {
	out := make([]Digests, len(sites))
	return out, each(sites, func(i int, site *fleet.Site) error {
		defer r.hold(site)()
		name, err := r.siteName(site)
		if err != nil {
			return err
		}
		if kept, ok := r.memo.Get(name); ok && json.Unmarshal(kept, &out[i]) == nil {
			return nil
		}
		if out[i], err = r.digests(site); err != nil {
			return err
		}
		if kept, err := json.Marshal(out[i]); err == nil {
			r.memo.Put(name, kept)
		}
		return nil
	})
}

func (r *Renderer) digests(site *fleet.Site) (Digests, error) {
	cluster, err := r.Site(site)
	node, nodeErr := r.Node(site)
	if err := fleet.Join(err, nodeErr); err != nil {
		return Digests{}, err
	}
	d := Digests{Cluster: cluster.Digest, Node: node.Digest}
	for _, l := range cluster.Layers {
		d.Layers = append(d.Layers, LayerDigest{l.Name, l.Digest})
	}
	for _, ref := range slices.Sorted(maps.Keys(cluster.Images)) {
		if cluster.Images[ref] == "" {
			d.Unlocked = append(d.Unlocked, ref)
		}
	}
	return d, nil
}

// Inputs names, for each of sites, all that its digests depend on: where two
// states of a site have the same name, they have the same digests. A site whose
// files cannot be read has none; Digests says why.
func (r *Renderer) Inputs(sites []*fleet.Site) []string {
	out := make([]string, len(sites))
	_ = each(sites, func(i int, site *fleet.Site) error {
		defer r.hold(site)()
		if name, err := r.siteName(site); err == nil {
			out[i] = name
		}
		return nil
	})
	return out
}

// siteName says all that the digests of a site depend on. Its error joins the
// problems of kustomizations that cannot be read.
func (r *Renderer) siteName(site *fleet.Site) (string, error) {
	p := site.Profile
	declared, err := r.profileName(p)
	if err != nil {
		return "", err
	}
	values, err := json.Marshal(site.Variables)
	if err != nil {
		return "", err
	}
	h := sha256.New()
	fmt.Fprintf(h, "%s\n%s\n", declared, values)
	var errs []error
	for _, layer := range append(slices.Clone(p.Layers), DistributionOf(p)) {
		in, err := r.inputOf(site, layer)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		fmt.Fprintf(h, "%s\n", in.key)
	}
	return "site " + hex.EncodeToString(h.Sum(nil)), fleet.Join(errs...)
}

// profileName says what a profile declares.
func (r *Renderer) profileName(p *fleet.Profile) (string, error) {
	return r.profiles.do(p, func() (string, error) {
		type variable struct {
			Type    fleet.VariableType
			Values  []string
			Pattern string
		}
		declared := map[string]variable{}
		for _, v := range p.Variables {
			declared[v.Name] = variable{v.Type, v.Values, fmt.Sprint(v.Pattern)}
		}
		return digestOf([]any{p.Layers, p.Lock, declared})
	})
}

// Layers renders those layers of a site that are named, in the order of the site.
// Its error joins [fleet.Problem]s.
func (r *Renderer) Layers(site *fleet.Site, names []string) ([]Layer, error) {
	vars := newVariables(site)
	var out []Layer
	var errs []error
	for _, layer := range inOrder(site.Profile.Layers) {
		if !slices.Contains(names, layer.Name) {
			continue
		}
		got, err := r.layer(site, layer, vars)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		out = append(out, got.layer)
	}
	return out, fleet.Join(errs...)
}
