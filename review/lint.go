package review

import (
	"encoding/json"
	"errors"
	"time"

	"github.com/holdfast-fleet/holdfast/fleet"
	"github.com/holdfast-fleet/holdfast/kinds"
	"github.com/holdfast-fleet/holdfast/render"
)

// LintOptions say how a fleet is looked through. Now is required.
type LintOptions struct {
	Options
	Now   time.Time                         // at which keys must be good
	Needs func(fleet.Distribution) []string // references that a distribution's driver wants; nil: nothing is known of them
}

// Lint finds all that is wrong with one state of a fleet: what does not load or
// render, objects that their clusters would not take, and what is there for
// nothing. Its error is about something else than the fleet.
func Lint(s State, o LintOptions) (Report, error) {
	l := &linter{state: s, options: o, found: collection{}}
	f, err := fleet.LoadUsable(s.FS, fleet.Options{Pins: s.Pins, Memo: o.Memo})
	l.fleet, l.whole = f, err == nil
	errs := l.found.add(err)
	l.renderer = newRenderer(s, o.Options)
	defer l.renderer.Close()
	l.needs = newNeeds(l.renderer)
	_, err = l.renderer.Digests(f.Sites)
	l.whole = l.whole && err == nil
	errs = append(errs, l.found.add(err)...)
	errs = append(errs, l.objects()...)
	errs = append(errs, l.clusters()...)
	l.trust()
	errs = append(errs, l.policies(), l.sources())
	used, err := l.usage()
	errs = append(errs, err)
	l.secrets()
	if l.whole {
		errs = append(errs, l.unused(used), l.unusedSecrets())
	}
	r := Report{Fleet: f.Name, Profiles: len(f.Profiles), Sites: len(f.Sites), Problems: []Problem{}}
	for _, site := range f.Sites {
		r.Hosts += len(site.Hosts)
	}
	l.found.into(&r)
	return r, errors.Join(errs...)
}

// linter looks through one state of a fleet.
type linter struct {
	state    State
	options  LintOptions
	fleet    *fleet.Fleet // as much of it as is usable
	whole    bool         // that is all of it, and it renders
	renderer *render.Renderer
	needs    *needs
	releases kinds.Releases
	found    collection
}

// report notes a problem of the fleet as a whole.
func (l *linter) report(p fleet.Problem) {
	if l.found[p] == nil {
		l.found[p] = &sites{}
	}
}

// clusters checks that sites of several hosts can be one cluster, and that those
// which are backed up can be.
func (l *linter) clusters() []error {
	var errs []error
	for _, site := range l.fleet.Sites {
		active := site.Active()
		several := len(active) > 1 && l.options.CheckHosts != nil
		backedUp := site.Backup.On() && l.options.CheckBackup != nil
		if !several && !backedUp {
			continue
		}
		node, err := l.renderer.Node(site)
		if err != nil {
			continue // it is told of where all renders
		}
		d, err := fleet.ParseDistribution(node.Distribution)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if several {
			if err := l.options.CheckHosts(d, len(active)); err != nil {
				l.found.at(site.Name, fleet.Problem{File: active[1].File, Rule: fleet.RuleSeveralHosts, Msg: err.Error(), Tip: hintOf(err)})
			}
		}
		if backedUp {
			if err := l.options.CheckBackup(d); err != nil {
				l.found.at(site.Name, fleet.Problem{File: site.Backup.File, Line: site.Backup.Line, Rule: fleet.RuleBadValue, Msg: "site " + site.Name + ": " + err.Error(), Tip: hintOf(err)})
			}
		}
	}
	return errs
}

// objects checks what the sites render to, or remembers what came of it.
func (l *linter) objects() []error {
	c := newObjectChecker(l)
	type result struct {
		found []fleet.Problem
		err   error
	}
	results := make([]result, len(l.fleet.Sites))
	parallel(len(results), func(i int) {
		results[i].found, results[i].err = c.remembered(l.fleet.Sites[i])
	})
	var errs []error
	for i, r := range results {
		l.found.at(l.fleet.Sites[i].Name, r.found...)
		errs = append(errs, others(r.err)...) // problems are those that Digests has
	}
	return errs
}

// remembered checks a site, unless that was done before.
func (c *objectChecker) remembered(site *fleet.Site) ([]fleet.Problem, error) {
	memo := c.options.Memo
	name, err := c.renderer.Key(site)
	if err != nil || memo == nil {
		return c.site(site)
	}
	name = "lint " + name
	var found []fleet.Problem
	if kept, ok := memo.Get(name); ok && json.Unmarshal(kept, &found) == nil {
		return found, nil
	}
	found, err = c.site(site)
	if err != nil {
		return found, err
	}
	if kept, err := json.Marshal(found); err == nil {
		memo.Put(name, kept)
	}
	return found, nil
}
