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
	part, err := r.part(site, func(string) bool { return true })
	return part.Digests, err
}

// Part is what some of the layers of a site come to, as if it had no others. The
// distribution is one of them.
type Part struct {
	Digests
	Objects map[string]string // what they make, and which of them does
}

// Parts renders, of each of sites, the layers that are named. Its error joins
// [fleet.Problem]s in a stable order.
func (r *Renderer) Parts(sites []*fleet.Site, layers [][]string) ([]Part, error) {
	out := make([]Part, len(sites))
	return out, each(sites, func(i int, site *fleet.Site) (err error) {
		defer r.hold(site)()
		out[i], err = r.part(site, func(layer string) bool { return slices.Contains(layers[i], layer) })
		return err
	})
}

func (r *Renderer) part(site *fleet.Site, has func(layer string) bool) (Part, error) {
	cluster, objects, err := r.cluster(site, has)
	var node Node
	if has(DistributionLayer) {
		var nodeErr error
		node, nodeErr = r.Node(site)
		err = fleet.Join(err, nodeErr)
	}
	if err != nil {
		return Part{}, err
	}
	p := Part{Digests{Cluster: cluster.Digest, Node: node.Digest}, objects}
	for _, l := range cluster.Layers {
		p.Layers = append(p.Layers, LayerDigest{l.Name, l.Digest})
	}
	for _, ref := range slices.Sorted(maps.Keys(cluster.Images)) {
		if cluster.Images[ref] == "" {
			p.Unlocked = append(p.Unlocked, ref)
		}
	}
	return p, nil
}

// Inputs name all that the digests of a site depend on: where two states of a site
// have the same, they have the same digests.
type Inputs struct {
	Declared string        // by its profile, with the values of its variables
	Layers   []LayerDigest // what each layer is built from, and last the distribution
}

// Inputs names those of each of sites. A site whose files cannot be read has none;
// Digests says why.
func (r *Renderer) Inputs(sites []*fleet.Site) []Inputs {
	out := make([]Inputs, len(sites))
	_ = each(sites, func(i int, site *fleet.Site) error {
		defer r.hold(site)()
		if in, err := r.inputsOf(site); err == nil {
			out[i] = in
		}
		return nil
	})
	return out
}

// inputsOf is what the digests of a site depend on. Its error joins the problems of
// kustomizations that cannot be read.
func (r *Renderer) inputsOf(site *fleet.Site) (Inputs, error) {
	p := site.Profile
	declared, err := r.profileName(p)
	if err != nil {
		return Inputs{}, err
	}
	values, err := json.Marshal(site.Variables)
	if err != nil {
		return Inputs{}, err
	}
	all := Inputs{Declared: fmt.Sprintf("%s\n%s\n", declared, values)}
	var errs []error
	for _, layer := range append(slices.Clone(p.Layers), DistributionOf(p)) {
		in, err := r.inputOf(site, layer)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		all.Layers = append(all.Layers, LayerDigest{layer.Name, in.key})
	}
	return all, fleet.Join(errs...)
}

// siteName says all that the digests of a site depend on, in one word.
func (r *Renderer) siteName(site *fleet.Site) (string, error) {
	in, err := r.inputsOf(site)
	h := sha256.New()
	fmt.Fprint(h, in.Declared)
	for _, layer := range in.Layers {
		fmt.Fprintln(h, layer.Digest)
	}
	return "site " + hex.EncodeToString(h.Sum(nil)), err
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
