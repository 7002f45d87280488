package review

import (
	"fmt"
	"maps"
	"reflect"
	"slices"

	"github.com/holdfast-fleet/holdfast/fleet"
	"github.com/holdfast-fleet/holdfast/render"
)

// node compares the halves that belong to the hosts.
func (p *pair) node() error {
	old, err := p.renderers[0].Node(p.old)
	if err != nil {
		return err
	}
	current, err := p.renderers[1].Node(p.new)
	if err != nil {
		return err
	}
	a, err := decode(old.Distribution)
	if err != nil {
		return err
	}
	b, err := decode(current.Distribution)
	if err != nil {
		return err
	}
	was, err := fleet.ParseDistribution(old.Distribution)
	if err != nil {
		return err
	}
	is, err := fleet.ParseDistribution(current.Distribution)
	if err != nil {
		return err
	}
	a["content"], b["content"] = texts(old.Content), texts(current.Content)
	p.changes = append(p.changes, Change{Kind: Distribution, Object: "distribution", Fields: compareObjects(a, b),
		Danger: hazard(was, is), Note: p.outage(was, is, maps.Equal(old.Content, current.Content))})
	return nil
}

// checkVersions refuses distributions, as far as they change, that hosts do not know how
// to run, or do not go to from what they run.
func checkVersions(pairs []*pair, old, r *render.Renderer, o Options) error {
	var errs []error
	type change struct {
		was, is string
		live    bool // hosts run it
		hosts   int  // of a site
	}
	seen := map[change]bool{}
	for _, p := range pairs {
		if p.new == nil || p.was.Node == p.is.Node {
			continue
		}
		c := change{p.was.Node, p.is.Node, p.old != nil && len(p.old.Active()) > 0, len(p.new.Active())}
		if seen[c] {
			continue
		}
		seen[c] = true
		node, err := r.Node(p.new)
		if err != nil {
			return err
		}
		d, err := fleet.ParseDistribution(node.Distribution)
		if err != nil {
			return err
		}
		found := o.unknownVersion(d)
		if found == nil && c.live {
			if found, err = p.refusedUpgrade(old, d, o); err != nil {
				return err
			}
		}
		if found == nil {
			continue
		}
		if err := placeVersion(r, p.new, node, found); err != nil {
			return err
		}
		errs = append(errs, found)
	}
	return fleet.Join(errs...)
}

// refusedUpgrade says that hosts do not go from what their site runs to is, or nil.
func (p *pair) refusedUpgrade(r *render.Renderer, is fleet.Distribution, o Options) (*fleet.Problem, error) {
	if o.CheckUpgrade == nil {
		return nil, nil
	}
	node, err := r.Node(p.old)
	if err != nil {
		return nil, err
	}
	was, err := fleet.ParseDistribution(node.Distribution)
	if err != nil {
		return nil, err
	}
	if err := o.CheckUpgrade(was, is, o.Allow.Downgrade); err != nil {
		return &fleet.Problem{Rule: fleet.RuleDistributionVersion, Msg: err.Error(), Tip: hintOf(err)}, nil
	}
	return nil, nil
}

func texts(m map[string]string) map[string]any {
	out := map[string]any{}
	for key, value := range m {
		out[key] = value
	}
	return out
}

// hazard says what a live cluster does not take: see "Version Skew Policy" of
// https://kubernetes.io/releases/version-skew-policy, and what it was set up with.
func hazard(was, is fleet.Distribution) string {
	switch {
	case was.Type != is.Type:
		return fmt.Sprintf("%s does not become %s on a live cluster: set the hosts up anew", was.Type, is.Type)
	case was.PodCIDR != is.PodCIDR || was.ServiceCIDR != is.ServiceCIDR:
		return "a live cluster keeps the networks that it was set up with"
	}
	if err := fleet.CheckUpgrade(was.Version, is.Version); err != nil {
		return err.Error()
	}
	return ""
}

// outage says what a change of the distribution costs.
func (p *pair) outage(was, is fleet.Distribution, sameContent bool) string {
	before, after := was.Machine, is.Machine
	was.Machine, is.Machine = fleet.Machine{}, fleet.Machine{}
	was.MaxUnavailable = is.MaxUnavailable
	if sameContent && reflect.DeepEqual(was, is) {
		return settingsCost(before, after)
	}
	if a, b := fleet.VersionOf(was.Version), fleet.VersionOf(is.Version); b[0] < a[0] || b[0] == a[0] && b[1] < a[1] {
		return "the cluster is made of its data of before the upgrade: what was written to it since is gone; of several hosts, all but one leave it, and join anew"
	}
	return outageOf(p.new, is)
}

// settingsCost says what a change of the settings of hosts costs.
func settingsCost(was, is fleet.Machine) string {
	was.Sysctls, was.Modules, was.NTP = is.Sysctls, is.Modules, is.NTP
	if reflect.DeepEqual(was, is) {
		return "settings of the hosts: nothing of the cluster starts again"
	}
	return "settings of the hosts: what runs containers starts again on each, and the containers go on"
}

func outageOf(s *fleet.Site, d fleet.Distribution) string {
	control, all := 0, 0
	alone, workers := "it does not drain; its pods and the API are away while it restarts", atATime(d.MaxUnavailable)
	if slices.Contains([]string{fleet.K3s, fleet.RKE2, fleet.K0s}, d.Type) {
		alone = "its pods go on; the API is away while it restarts"
	}
	for _, h := range s.Active() {
		all++
		if h.Role == fleet.ControlPlane {
			control++
		}
	}
	switch {
	case all == 0:
		return "no host is active there"
	case all == 1:
		return "one node: " + alone
	case control == 1:
		return "one control-plane host: the API is away while it restarts; then the workers, " + workers
	case control == all:
		return "the control-plane hosts one after the other; the API stays"
	}
	return "the control-plane hosts one after the other, then the workers, " + workers + "; the API stays"
}

func atATime(limit int) string {
	if limit == 1 {
		return "one after the other"
	}
	return fmt.Sprintf("%d at a time", limit)
}

// inNodeOrder names the active hosts: control plane first, each in declared order.
func inNodeOrder(s *fleet.Site) []string {
	var control, workers []string
	for _, h := range s.Active() {
		if h.Role == fleet.ControlPlane {
			control = append(control, h.Name)
		} else {
			workers = append(workers, h.Name)
		}
	}
	return append(control, workers...)
}
