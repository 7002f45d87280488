package trust

import (
	"fmt"
	"path"
	"slices"
	"strings"
	"time"
)

// Names of tags, below refs/tags/.
const (
	ApprovalPrefix = "approve/"  // begins those that approve
	HeartbeatTag   = "heartbeat" // is no release, whatever a policy says
)

// Policy says who may change which paths of a fleet.
type Policy struct {
	releases string              // pattern of the tags that release; empty: every commit counts
	persons  map[string]string   // name or fingerprint of a key → person; people also by their own name
	groups   map[string][]string // persons
	rules    []rule
	everyKey bool // may change everything
}

type rule struct {
	paths     []string
	groups    []string
	members   []string // persons of all the groups, sorted
	threshold int
}

// EveryKey is the policy of a fleet that has none: each key of k may change everything.
func EveryKey(k *Keyring) *Policy {
	return &Policy{everyKey: true, rules: []rule{{paths: []string{"**"}, groups: []string{"every key"}, members: k.Names(), threshold: 1}}}
}

// NeedsPaths tells whether it matters which paths change if by vouch.
func (p *Policy) NeedsPaths(by []Signer) bool {
	return !p.everyKey || slices.ContainsFunc(by, func(s Signer) bool { return s.Recovery })
}

// Releases tells whether only tags release commits to hosts.
func (p *Policy) Releases() bool { return p.releases != "" }

// IsRelease tells whether a tag of that name, without refs/tags/, may release.
func (p *Policy) IsRelease(tag string) bool {
	ok, err := path.Match(p.releases, tag)
	return err == nil && ok && p.releases != ""
}

// Person is whom a key belongs to: its own name, unless spec.people says more.
func (p *Policy) Person(s Signer) string {
	if person := p.persons[s.Key]; person != "" {
		return person
	}
	if person := p.persons[s.Name]; person != "" {
		return person
	}
	return s.Name
}

// Need is what one rule asks of a change.
type Need struct {
	Paths     []string `json:"paths"`              // changed ones that the rule decides
	Patterns  []string `json:"patterns,omitempty"` // of the rule; none if no rule matches
	Groups    []string `json:"groups,omitempty"`
	Members   []string `json:"members,omitempty"` // people who may approve
	Threshold int      `json:"threshold"`         // how many of them
	Approved  []string `json:"approved"`          // people who have
}

// Missing is how many people must still approve.
func (n Need) Missing() int { return max(0, n.Threshold-len(n.Approved)) }

// Undecided lists who can still approve.
func (n Need) Undecided() []string {
	return slices.DeleteFunc(slices.Clone(n.Members), func(m string) bool { return slices.Contains(n.Approved, m) })
}

// Needs lists what the rules ask of a change of paths for which by vouch, in the
// order of the rules. A person counts once, and so does a key.
func (p *Policy) Needs(by []Signer, paths []string) []Need {
	recovered := slices.ContainsFunc(by, func(s Signer) bool { return s.Recovery })
	people := p.people(by)
	at := make(map[*rule][]string)
	for _, name := range paths {
		if !recovered || !strings.HasPrefix(name, trustFolder) {
			r := p.rule(name)
			at[r] = append(at[r], name)
		}
	}
	var needs []Need
	if lost := at[nil]; len(lost) > 0 {
		needs = append(needs, Need{Paths: lost, Threshold: 1, Approved: []string{}})
	}
	for i := range p.rules {
		r := &p.rules[i]
		if len(at[r]) == 0 {
			continue
		}
		n := Need{Paths: at[r], Patterns: r.paths, Groups: r.groups, Members: r.members, Threshold: r.threshold, Approved: []string{}}
		for _, person := range people {
			if slices.Contains(r.members, person) {
				n.Approved = append(n.Approved, person)
			}
		}
		needs = append(needs, n)
	}
	return needs
}

// people lists the persons behind keys, each once, sorted. A key that the ring
// knows under two names is still one.
func (p *Policy) people(by []Signer) []string {
	var people []string
	keys := make(map[string]bool)
	for _, s := range by {
		if !s.Recovery && !keys[s.Key] {
			people = append(people, p.Person(s))
			keys[s.Key] = true
		}
	}
	slices.Sort(people)
	return slices.Compact(people)
}

// Check returns nil if those who vouch may together change all of the paths.
// Errors wrap [ErrForbiddenPath] or, if only others must approve too,
// [ErrTooFew]; they name a path, who may change it, and who has vouched.
func (p *Policy) Check(by []Signer, paths []string) error {
	var few error
	for _, n := range p.Needs(by, paths) {
		who := fmt.Sprintf("%s (%s)", strings.Join(n.Groups, ", "), strings.Join(n.Members, ", "))
		if n.Threshold > 1 {
			who = fmt.Sprintf("%d of %s", n.Threshold, who)
		}
		switch {
		case len(n.Members) == 0:
			return fmt.Errorf("%w: %s: no rule of the policy lets anybody change it", ErrForbiddenPath, n.Paths[0])
		case n.Missing() == 0 || few != nil:
		case len(n.Approved) == 0:
			return fmt.Errorf("%w: %s may be changed by %s, not by %s", ErrForbiddenPath, n.Paths[0], who, p.names(by))
		default:
			few = fmt.Errorf("%w: %s needs %s, and has %s", ErrTooFew, n.Paths[0], who, strings.Join(n.Approved, ", "))
		}
	}
	if len(paths) == 0 && !p.mayAnything(by) {
		return fmt.Errorf("%w: nothing changes, and no rule of the policy lets %s change anything", ErrForbiddenPath, p.names(by))
	}
	return few
}

// mayAnything tells whether one of those who vouch may change some path: others
// shall not even make an empty commit that hosts follow.
func (p *Policy) mayAnything(by []Signer) bool {
	people := p.people(by)
	return slices.ContainsFunc(by, func(s Signer) bool { return s.Recovery }) || slices.ContainsFunc(p.rules, func(r rule) bool {
		return slices.ContainsFunc(r.members, func(m string) bool { return slices.Contains(people, m) })
	})
}

func (p *Policy) names(by []Signer) string {
	if people := p.people(by); len(people) > 0 {
		return strings.Join(people, ", ")
	}
	return "a recovery key" // as nobody is asked for whom nothing vouches
}

// Satisfiable returns an error if a rule asks for more people than have a key of
// k that is good at the given time, or if no rule lets anybody change the policy:
// nobody could mend that.
func (p *Policy) Satisfiable(k *Keyring, at time.Time) error {
	people := p.people(k.usable(at))
	for i := range p.rules {
		r := &p.rules[i]
		have := 0
		for _, member := range r.members {
			if slices.Contains(people, member) {
				have++
			}
		}
		if have >= r.threshold {
			continue
		}
		if have == 0 {
			return fmt.Errorf("no member of %s has a key that is good: nobody could change %s again",
				strings.Join(r.groups, ", "), strings.Join(r.paths, ", "))
		}
		return fmt.Errorf("%d of %s are needed, only %d have a key that is good: nobody could change %s again",
			r.threshold, strings.Join(r.groups, ", "), have, strings.Join(r.paths, ", "))
	}
	if p.rule(trustFolder+"policy.yaml") == nil {
		return fmt.Errorf("no rule matches %spolicy.yaml: nobody could change the policy again", trustFolder)
	}
	return nil
}

func (p *Policy) rule(name string) *rule {
	for i := range p.rules {
		for _, pattern := range p.rules[i].paths {
			if matchPath(pattern, name) {
				return &p.rules[i]
			}
		}
	}
	return nil
}
