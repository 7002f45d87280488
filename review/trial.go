package review

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/holdfast-fleet/holdfast/fleet"
	"github.com/holdfast-fleet/holdfast/render"
)

// Trial tries changes on real API servers: what sites run at base, then what
// they shall run at head. Each rendering gets a server of its own, so that
// nothing of one is left for the next.
type Trial struct {
	Base, Head State
	Paths      []string // as of [Diff]
	Options    Options
	Start      func(context.Context) (Server, error)
	Limit      int                           // of renderings that are tried
	Progress   func(n, all int, site string) // may be nil

	renderers [2]*render.Renderer
	policies  [2]render.Layer
	written   render.Origins // the policies at head
}

// rendering is a change of what is applied, and the sites that it is the same for.
type rendering struct {
	*pair          // of the first site
	sites []string // sorted
}

// Run notes in c what the servers say of it. It needs none if no rendering
// changes, nor any policy.
func (t *Trial) Run(ctx context.Context, c *Changes) error {
	c.Server = &Served{Untried: []string{}, Notes: []string{}, Findings: []Finding{}}
	judged := slices.ContainsFunc(t.Paths, func(p string) bool { return strings.HasPrefix(p, render.PolicyDir+"/") })
	if len(c.Groups) == 0 && !judged {
		return nil
	}
	if err := t.readPolicies(); err != nil {
		return err
	}
	t.renderers = [2]*render.Renderer{newRenderer(t.Base, t.Options), newRenderer(t.Head, t.Options)}
	defer t.renderers[0].Close()
	defer t.renderers[1].Close()
	all, err := t.renderings(judged)
	if err != nil {
		return err
	}
	chosen := choose(all, c.Groups, t.Limit)
	c.Server.Renderings, c.Server.Tried = len(all), len(chosen)
	for _, r := range all {
		if !slices.Contains(chosen, r) {
			c.Server.Untried = append(c.Server.Untried, r.sites...)
		}
	}
	slices.Sort(c.Server.Untried)
	found := findings{}
	if err := t.tryAll(ctx, chosen, found, c.Server); err != nil {
		return err
	}
	c.Server.Findings = found.list()
	c.markRefused()
	return nil
}

func (t *Trial) readPolicies() (err error) {
	if t.policies[0], _, err = render.Policies(t.Base.FS); err != nil {
		return unusable(t.Base, err)
	}
	t.policies[1], t.written, err = render.Policies(t.Head.FS)
	return err
}

// renderings finds what there is to try: all that changes, and what does not if
// the policies do.
func (t *Trial) renderings(judged bool) ([]*rendering, error) {
	s := newScope(t.Paths, t.Base.FS, t.Head.FS)
	s.all = s.all || judged
	f, err := load(t.Head, s, t.Options)
	if err != nil {
		return nil, err
	}
	before, err := load(t.Base, s, t.Options)
	if err != nil {
		return nil, unusable(t.Base, err)
	}
	pairs := match(before.Sites, f.Sites)
	if err := digest(pairs, t.Base, t.renderers[0], t.renderers[1]); err != nil {
		return nil, err
	}
	known := map[[2]string]*rendering{}
	var all []*rendering
	for _, p := range pairs {
		if p.new == nil || p.was.Cluster == p.is.Cluster && !judged {
			continue
		}
		change := [2]string{p.was.Cluster, p.is.Cluster}
		if known[change] == nil {
			known[change] = &rendering{pair: p}
			all = append(all, known[change])
		}
		known[change].sites = append(known[change].sites, p.name)
	}
	return all, nil
}

// choose takes the renderings that show most: those that together have every
// change in them, then those of most sites.
func choose(all []*rendering, groups []Group, limit int) []*rendering {
	has := map[*rendering]map[int]bool{}
	of := map[string]*rendering{}
	for _, r := range all {
		has[r] = map[int]bool{}
		for _, site := range r.sites {
			of[site] = r
		}
	}
	for n, g := range groups {
		for _, site := range g.Sites {
			if r := of[site]; r != nil {
				has[r][n] = true
			}
		}
	}
	left, chosen := slices.Clone(all), []*rendering{}
	for len(left) > 0 && len(chosen) < limit {
		best := 0
		for n, r := range left {
			if d := len(has[r]) - len(has[left[best]]); d > 0 || d == 0 && len(r.sites) > len(left[best].sites) {
				best = n
			}
		}
		seen := has[left[best]]
		chosen, left = append(chosen, left[best]), slices.Delete(left, best, best+1)
		for _, r := range left {
			maps.DeleteFunc(has[r], func(n int, _ bool) bool { return seen[n] })
		}
	}
	return chosen
}

// tryAll tries one rendering after the other. The next server starts meanwhile.
func (t *Trial) tryAll(ctx context.Context, chosen []*rendering, found findings, s *Served) error {
	if len(chosen) == 0 {
		return nil
	}
	next := t.start(ctx)
	versions := map[string][]string{}
	for n, r := range chosen {
		if t.Progress != nil {
			t.Progress(n+1, len(chosen), r.name)
		}
		current := <-next
		if n+1 < len(chosen) && current.err == nil {
			next = t.start(ctx)
		}
		err := current.err
		if err == nil {
			err = t.try(ctx, r, current.server, found)
		}
		if err == nil && s.Version == "" {
			s.Version, err = current.server.Version(ctx)
		}
		if current.server != nil {
			err = errors.Join(err, current.server.Close())
		}
		if err == nil {
			err = t.version(r, versions)
		}
		if err != nil {
			if n+1 < len(chosen) && current.err == nil {
				err = errors.Join(err, discard(<-next))
			}
			return fmt.Errorf("try site %s on an API server: %w", r.name, err)
		}
	}
	s.Notes = append(s.Notes, otherVersions(s.Version, versions)...)
	return nil
}

// started is a server, or why there is none.
type started struct {
	server Server
	err    error
}

func (t *Trial) start(ctx context.Context) <-chan started {
	c := make(chan started, 1)
	go func() {
		server, err := t.Start(ctx)
		c <- started{server, err}
	}()
	return c
}

func discard(s started) error {
	if s.server == nil {
		return nil
	}
	return s.server.Close()
}

// try applies base and head of one rendering.
func (t *Trial) try(ctx context.Context, r *rendering, server Server, found findings) error {
	var layers [2][]render.Layer
	var outcomes [2][]Outcome
	for n, site := range []*fleet.Site{r.old, r.new} {
		layers[n] = []render.Layer{t.policies[n]}
		if site != nil {
			cluster, err := t.renderers[n].Site(site)
			if err != nil {
				return err
			}
			layers[n] = append(layers[n], cluster.Layers...)
		}
		if n == 1 {
			gone := without(t.policies[0], t.policies[1])
			if err := server.Remove(ctx, r.name, gone); err != nil {
				return err
			}
		}
		var err error
		if outcomes[n], err = server.Apply(ctx, r.name, layers[n]); err != nil {
			return err
		}
	}
	anew := t.mayGo(outcomes[1])
	if len(anew) > 0 {
		for _, l := range layers[1] {
			if err := server.Remove(ctx, r.name, only(l, anew)); err != nil {
				return err
			}
		}
		var err error
		if outcomes[1], err = server.Apply(ctx, r.name, layers[1]); err != nil {
			return err
		}
	}
	v := verdict{layers: layers, found: found, sites: r.sites, origin: t.origins(r), policy: t.policyHint, anew: anew}
	return v.compare(outcomes[0], outcomes[1])
}

// mayGo says of objects that cannot be changed while they live, and that commits
// allow to be made anew, why that is.
func (t *Trial) mayGo(head []Outcome) map[id]string {
	anew := map[id]string{}
	for n := range head {
		if o := &head[n]; o.Recreate && among(t.Options.Allow.Recreate, o.id().permit()) {
			anew[o.id()] = o.Refused
		}
	}
	return anew
}

// only is a layer with nothing but some of its objects.
func only(l render.Layer, some map[id]string) render.Layer {
	objects := l.Objects
	l.Objects = nil
	for _, raw := range objects {
		key, err := identify(raw)
		if _, wanted := some[key]; err == nil && wanted {
			l.Objects = append(l.Objects, raw)
		}
	}
	return l
}

// policyHint says where a policy of the fleet is written.
func (t *Trial) policyHint(name string) string {
	at := t.written.Of("admissionregistration.k8s.io/v1", "ValidatingAdmissionPolicy", "", name)
	if at.Line == 0 {
		return ""
	}
	return fmt.Sprintf("mend the object, or the policy at %s:%d", at.File, at.Line)
}

// without is a layer without the objects that another has, too.
func without(l, other render.Layer) render.Layer {
	has := map[id]bool{}
	for _, raw := range other.Objects {
		if key, err := identify(raw); err == nil { // it was read as an object before
			has[key] = true
		}
	}
	objects := l.Objects
	l.Objects = nil
	for _, raw := range objects {
		if key, err := identify(raw); err == nil && !has[key] {
			l.Objects = append(l.Objects, raw)
		}
	}
	return l
}

// version notes which Kubernetes a site runs.
func (t *Trial) version(r *rendering, versions map[string][]string) error {
	node, err := t.renderers[1].Node(r.new)
	if err != nil {
		return err
	}
	dist, err := fleet.ParseDistribution(node.Distribution)
	versions[dist.Version] = append(versions[dist.Version], r.name)
	return err
}

// otherVersions says where the servers are of another minor version than a site.
func otherVersions(version string, sites map[string][]string) []string {
	var notes []string
	for _, other := range slices.Sorted(maps.Keys(sites)) {
		if minorOf(other) != minorOf(version) {
			notes = append(notes, fmt.Sprintf("%s: its Kubernetes is %s, and was tried on %s, whose rules may differ", some(sites[other], 3), other, version))
		}
	}
	return notes
}

// minorOf is v1.36 of v1.36.3+k3s1.
func minorOf(version string) string {
	parts := strings.SplitN(version, ".", 3)
	return strings.Join(parts[:min(2, len(parts))], ".")
}
