package render

import (
	"fmt"
	"io/fs"
	"maps"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/holdfast-fleet/holdfast/fleet"
)

// Memo keeps what a pure function returned, under a name that says all that it
// was given. Whether it does changes the time of rendering alone.
type Memo interface {
	Get(name string) ([]byte, bool)
	Put(name string, value []byte)
}

// Options make rendering faster. The zero Options will do.
type Options struct {
	Memo   Memo             // outlives the Renderer; used if the file system has a method Digest(name string) (string, error)
	Worker func() *exec.Cmd // a program that calls Work, with nothing but its name and arguments set, to render charts in; nil: they are rendered in this process
}

// Renderer renders the sites of one fleet. It runs kustomize once for each
// distinct input, and puts the variables in afterwards. It is safe for
// concurrent use.
type Renderer struct {
	fsys fs.FS
	memo Memo
	pool *pool

	mu       sync.Mutex
	inputs   map[folder]*once[*input] // of profiles
	builds   onces[string, *built]    // of profiles, by the key of their input
	passed   onces[passed, []template]
	fixed    onces[fixed, *filled]
	nodes    onces[*fleet.Profile, Node]   // that are the same at all sites of a profile
	sources  onces[string, Sources]        // of profiles, by the key of their input
	profiles onces[*fleet.Profile, string] // what each declares
	shelves  onces[any, *shelf]            // by what profiles are read from
}

// folder is one of a profile, which may be there in several states.
type folder struct {
	profile *fleet.Profile
	dir     string
}

// fixed is a layer that is the same at all sites of a profile without an overlay.
type fixed struct {
	profile *fleet.Profile
	layer   string
}

// New makes a Renderer, which is closed after use.
func New(fsys fs.FS, o Options) *Renderer {
	if o.Memo == nil {
		o.Memo = forgetful{}
	}
	return &Renderer{fsys: fsys, memo: o.Memo, pool: newPool(o.Worker), inputs: map[folder]*once[*input]{}}
}

type forgetful struct{}

func (forgetful) Get(string) ([]byte, bool) { return nil, false }
func (forgetful) Put(string, []byte)        {}

// Close ends the processes that render charts, and frees the schema that kustomize keeps once it has
// merged a patch.
func (r *Renderer) Close() {
	r.pool.close()
	kustomize.Lock()
	defer kustomize.Unlock()
	kustomize.reset()
}

// Host renders what one host should run. Its error joins [fleet.Problem]s.
func Host(fsys fs.FS, host *fleet.Host) (Desired, error) {
	r := New(fsys, Options{})
	defer r.Close()
	return r.Host(host)
}

// Site renders the half that is the same on all hosts of a site. Its error
// joins [fleet.Problem]s.
func Site(fsys fs.FS, site *fleet.Site) (Cluster, error) {
	r := New(fsys, Options{})
	defer r.Close()
	return r.Site(site)
}

// Host renders what one host should run. Its error joins [fleet.Problem]s.
func (r *Renderer) Host(host *fleet.Host) (Desired, error) {
	cluster, err := r.Site(host.Site)
	node, nodeErr := r.Node(host.Site)
	if err := fleet.Join(err, nodeErr); err != nil {
		return Desired{}, err
	}
	return Desired{Site: host.Site.Name, Host: host.Name, Cluster: cluster, Node: node}, nil
}

// Site renders the half that is the same on all hosts of a site. Its error
// joins [fleet.Problem]s.
func (r *Renderer) Site(site *fleet.Site) (Cluster, error) {
	c, _, err := r.cluster(site, func(string) bool { return true })
	return c, err
}

// cluster renders those layers of a site that has names, and tells which of them
// makes each object.
func (r *Renderer) cluster(site *fleet.Site, has func(layer string) bool) (c Cluster, owners map[string]string, err error) {
	c = Cluster{Images: map[string]string{}, Confirm: site.Profile.Confirm}
	vars := newVariables(site)
	owners = map[string]string{}
	layers := slices.DeleteFunc(inOrder(site.Profile.Layers), func(l fleet.Layer) bool { return !has(l.Name) })
	made := make([]*filled, len(layers))
	errs := []error{each(layers, func(i int, l fleet.Layer) (err error) {
		made[i], err = r.layer(site, l, vars)
		return err
	})}
	for i, layer := range layers {
		got := made[i]
		if got == nil {
			continue
		}
		for _, o := range got.objects {
			if other := owners[o.id]; other != "" {
				p := &fleet.Problem{File: layer.Path, Tip: "keep it in one layer, and let the other depend on that",
					Msg: fmt.Sprintf("%s is in layer %s and in layer %s of site %s", o.name, other, layer.Name, site.Name), Rule: fleet.RuleDuplicateObject}
				if in, err := r.inputOf(site, layer); err == nil {
					p = writtenAs(p, textsOf(in), o.kind, o.id[strings.LastIndexByte(o.id, 0)+1:])
				}
				errs = append(errs, p)
			}
			owners[o.id] = layer.Name
		}
		for _, i := range got.images {
			c.Images[i.Ref] = i.Digest
		}
		c.Layers = append(c.Layers, got.layer)
	}
	if err := fleet.Join(errs...); err != nil {
		return Cluster{}, nil, err
	}
	c.Digest, err = c.digest()
	return c, owners, err
}

// inOrder returns the layers so that each comes after what it depends on, and
// otherwise as declared.
func inOrder(layers []fleet.Layer) []fleet.Layer {
	var out []fleet.Layer
	done := map[string]bool{}
	left := slices.Clone(layers)
	for len(left) > 0 {
		ready := func(l fleet.Layer) bool {
			return !slices.ContainsFunc(l.DependsOn, func(dep string) bool { return !done[dep] })
		}
		next := max(0, slices.IndexFunc(left, ready)) // a loaded fleet has no cycle
		done[left[next].Name] = true
		out = append(out, left[next])
		left = slices.Delete(left, next, next+1)
	}
	return out
}

// DistributionOf is the distribution of a profile, built as a layer is.
func DistributionOf(p *fleet.Profile) fleet.Layer {
	return fleet.Layer{Name: DistributionLayer, Path: p.Distribution}
}

// Node renders the half that belongs to each host of a site. Its error joins
// [fleet.Problem]s.
func (r *Renderer) Node(site *fleet.Site) (Node, error) {
	in, err := r.inputOf(site, DistributionOf(site.Profile))
	if err != nil {
		return Node{}, err
	}
	from, err := r.build(in)
	if err != nil {
		return Node{}, err
	}
	if from.varies || !from.plain || !under(in.dir, in.reach.profile) {
		return r.newNode(site, from)
	}
	return r.nodes.do(site.Profile, func() (Node, error) { return r.newNode(site, from) })
}

func (r *Renderer) newNode(site *fleet.Site, from *built) (Node, error) {
	got, err := newVariables(site).fill(from, nil)
	if err != nil {
		return Node{}, err
	}
	if len(got.objects) != 1 || got.objects[0].kind != "Distribution" || got.objects[0].apiVersion != fleet.APIVersion {
		var names []string
		for _, o := range got.objects {
			names = append(names, o.name)
		}
		return Node{}, &fleet.Problem{File: from.file, Tip: "it makes exactly one Distribution of " + fleet.APIVersion,
			Msg: fmt.Sprintf("the distribution makes %d objects: %s", len(names), strings.Join(names, ", ")), Rule: fleet.RuleBadDistribution}
	}
	raw := got.layer.Objects[0]
	d, err := fleet.ParseDistribution(raw)
	if err != nil {
		return Node{}, r.misread(site, from, raw)
	}
	if err := sealedLogins(from.file, raw, d.Machine.Logins); err != nil {
		return Node{}, err
	}
	n := Node{Distribution: raw, Content: map[string]string{}}
	if len(from.sealed) > 0 {
		n.Sealed = from.sealed
	}
	maps.Copy(n.Content, site.Profile.Lock.Distribution)
	n.Digest, err = digestOf(n)
	return n, err
}

// each calls do for every one, on all processors, and joins the errors.
func each[T any](all []T, do func(i int, one T) error) error {
	errs := make([]error, len(all))
	var g errgroup.Group
	g.SetLimit(runtime.GOMAXPROCS(0))
	for i, one := range all {
		g.Go(func() error {
			errs[i] = do(i, one)
			return nil
		})
	}
	_ = g.Wait() // the errors are in errs
	return fleet.Join(errs...)
}
