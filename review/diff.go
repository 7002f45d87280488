package review

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/holdfast-fleet/holdfast/fleet"
	"github.com/holdfast-fleet/holdfast/render"
)

// Diff says what hosts do differently at head than at base. paths are the files
// that differ, or more. Its error joins [fleet.Problem]s of head; a base that
// does not load or render is another error.
func Diff(base, head State, paths []string, o Options) (Changes, error) {
	c := Changes{Base: base.Name, Head: head.Name, Groups: []Group{}, Warnings: []Group{}, Notes: []string{}}
	s := newScope(paths, base.FS, head.FS)
	for _, p := range paths {
		if strings.HasPrefix(p, "trust/") {
			c.Notes = append(c.Notes, "who may vouch for changes (trust/)")
			break
		}
	}
	if s.empty() && !slices.Contains(paths, "agent.yaml") {
		return c, nil
	}
	f, err := load(head, s, o)
	if err != nil {
		return c, err
	}
	before, err := load(base, s, o)
	if err != nil {
		return c, unusable(base, err)
	}
	c.Notes = append(c.Notes, notes(before, f)...)
	old, current := newRenderer(base, o), newRenderer(head, o)
	defer old.Close()
	defer current.Close()
	pairs := touched(match(before.Sites, f.Sites), old, current)
	if err := digestChanged(pairs, base, old, current); err != nil {
		return c, err
	}
	if err := checkVersions(pairs, old, current, o); err != nil {
		return c, err
	}
	pairs = slices.DeleteFunc(pairs, func(p *pair) bool { return p.same() })
	secrets, err := unreadable(pairs, current)
	if err != nil {
		return c, err
	}
	for _, p := range pairs {
		p.renderers, p.permits = [2]*render.Renderer{old, current}, o.Allow
	}
	if err := compareAll(pairs, newChanged(paths, base, head)); err != nil {
		return c, err
	}
	c.group(pairs)
	c.warn(secrets, pairs, before)
	return c, nil
}

func unusable(base State, err error) error {
	if p := fleet.Problems(err); len(p) > 0 {
		return fmt.Errorf("the base %s cannot be compared with: %w (and %d more)", base.Name, p[0], len(p)-1)
	}
	return fmt.Errorf("the base %s cannot be compared with: %w", base.Name, err)
}

func load(s State, in scope, o Options) (*fleet.Fleet, error) {
	options := fleet.Options{Pins: s.Pins, Memo: o.Memo}
	if !in.all {
		options.Only, options.Within = in.site, in.within
	}
	return fleet.LoadWith(s.FS, options)
}

func newRenderer(s State, o Options) *render.Renderer {
	fast := render.Options{Worker: o.Worker}
	if o.Memo != nil {
		fast.Memo = o.Memo
	}
	return render.New(s.FS, fast)
}

// notes say what changes for the fleet as a whole.
func notes(old, current *fleet.Fleet) []string {
	var list []string
	say := func(what string, a, b any) {
		if a != b {
			list = append(list, fmt.Sprintf("%s: %v → %v", what, a, b))
		}
	}
	say("name of the fleet", old.Name, current.Name)
	say("freshness", old.Freshness, current.Freshness)
	agent := func(f *fleet.Fleet) string {
		if f.Agent == nil {
			return "none"
		}
		return fmt.Sprint(f.Agent.Version, " ", f.Agent.Digests)
	}
	say("agent of all hosts", agent(old), agent(current))
	return list
}

// match puts the sites of two states side by side, in the order of their names.
func match(old, current []*fleet.Site) []*pair {
	byName := make(map[string]*pair, len(current))
	for _, s := range current {
		byName[s.Name] = &pair{name: s.Name, new: s}
	}
	for _, s := range old {
		if byName[s.Name] == nil {
			byName[s.Name] = &pair{name: s.Name}
		}
		byName[s.Name].old = s
	}
	pairs := make([]*pair, 0, len(byName))
	for _, p := range byName {
		pairs = append(pairs, p)
	}
	slices.SortFunc(pairs, func(a, b *pair) int { return strings.Compare(a.name, b.name) })
	return pairs
}

// same tells that nothing differs, by all that a site is compared by.
func (p *pair) same() bool {
	return p.old != nil && p.new != nil && p.was.Cluster == p.is.Cluster && p.was.Node == p.is.Node &&
		profileOf(p.old) == profileOf(p.new) && sameSettings(p.old, p.new) &&
		slices.EqualFunc(p.old.Hosts, p.new.Hosts, func(a, b *fleet.Host) bool {
			return a.Name == b.Name && a.Identity == b.Identity && a.Role == b.Role && a.State == b.State && a.Network == b.Network
		})
}

// compareAll compares each pair, on all processors.
func compareAll(pairs []*pair, files changed) error {
	errs := make([]error, len(pairs))
	parallel(len(pairs), func(i int) {
		pairs[i].changed = files
		errs[i] = pairs[i].compare()
	})
	return errors.Join(errs...)
}

// parallel calls do for 0 to n-1, on all processors.
func parallel(n int, do func(int)) {
	var next atomic.Int64
	var wg sync.WaitGroup
	for range min(n, runtime.GOMAXPROCS(0)) {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				do(i)
			}
		})
	}
	wg.Wait()
}
