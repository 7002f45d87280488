// Package site has the hosts of a site agree: who of them makes the cluster, and who is
// away from it for an upgrade.
package site

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/holdfast-fleet/holdfast/bootstrap/system"
	"github.com/holdfast-fleet/holdfast/fleet"
	"github.com/holdfast-fleet/holdfast/peers"
)

// Hosts are those of a site, as one of them sees them.
type Hosts struct {
	Host    string         // this one
	Members []peers.Member // active ones, in declared order, this one among them
	Peers   Asker          // reaches the others; nil reaches none
}

// Asker asks a member what it knows of the cluster; package peers implements it.
type Asker interface {
	Cluster(ctx context.Context, of peers.Member) (peers.Cluster, error)
}

// Peers asks other hosts of the site for what this one needs, too; package peers implements it.
type Peers interface {
	Asker
	Join(ctx context.Context, through peers.Member) (peers.Material, error)
	Leave(ctx context.Context, through peers.Member, back string) error
	Away(ctx context.Context, through peers.Member, anew bool) error
	Back(ctx context.Context, through peers.Member) error
}

// Others are the members but this one.
func (h Hosts) Others() []peers.Member {
	var list []peers.Member
	for _, m := range h.Members {
		if m.Name != h.Host {
			list = append(list, m)
		}
	}
	return list
}

// Has tells whether a host of that name is this one, or a member.
func (h Hosts) Has(name string) bool {
	return name == h.Host || slices.ContainsFunc(h.Members, func(m peers.Member) bool { return m.Name == name })
}

// Servers are the others that are of the control plane.
func (h Hosts) Servers() []peers.Member {
	return slices.DeleteFunc(h.Others(), func(m peers.Member) bool { return m.Role != fleet.ControlPlane })
}

// First is the name of the member that makes the cluster.
func (h Hosts) First() string {
	for _, m := range h.Members {
		if m.Role == fleet.ControlPlane {
			return m.Name
		}
	}
	return ""
}

// ActsForSite tells whether none of the control plane before this host is there to do
// what one of them has to.
func (h Hosts) ActsForSite(ctx context.Context) bool {
	for _, m := range h.Members {
		if m.Name == h.Host {
			return true
		}
		if m.Role != fleet.ControlPlane {
			continue
		}
		if known, err := h.Peers.Cluster(ctx, m); err == nil && known.Gives {
			return false
		}
	}
	return true
}

// Origin returns the member to join the cluster through, or nil where this host makes
// it. It asks for a while, for the members start when they like.
func (h Hosts) Origin(ctx context.Context, log *slog.Logger) (*peers.Member, error) {
	if len(h.Others()) == 0 {
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	said := ""
	for {
		through, err := h.choose(h.Ask(ctx))
		if err == nil {
			return through, nil
		}
		if reason := err.Error(); reason != said {
			log.Info("not part of a cluster yet", "why", reason)
			said = reason
		}
		select {
		case <-ctx.Done():
			return nil, err
		case <-tick.C:
		}
	}
}

// Answer is what a member said, or why it did not.
type Answer struct {
	peers.Cluster
	Err error
}

// Ask asks all other members at once what they know of a cluster.
func (h Hosts) Ask(ctx context.Context) map[string]Answer {
	answers := map[string]Answer{}
	if h.Peers == nil {
		return answers
	}
	var mu sync.Mutex
	var all sync.WaitGroup
	for _, m := range h.Others() {
		all.Go(func() {
			got, err := h.Peers.Cluster(ctx, m)
			mu.Lock()
			defer mu.Unlock()
			answers[m.Name] = Answer{got, err}
		})
	}
	all.Wait()
	return answers
}

// choose returns the member to join through, or nil where the host makes the
// cluster: it is the first of the control plane, and each other host of the control
// plane has said that it knows of none. One that does not answer may have one.
func (h Hosts) choose(answers map[string]Answer) (*peers.Member, error) {
	for i, m := range h.Members {
		if m.Role != fleet.ControlPlane {
			continue
		}
		if a, ok := answers[m.Name]; ok && a.Err == nil && a.Gives {
			return &h.Members[i], nil
		}
	}
	for _, m := range h.Members {
		if a, ok := answers[m.Name]; ok && a.Err == nil && a.Known {
			return nil, system.Refuse(fmt.Sprintf("%s is part of a cluster, or was, but none of the control plane answers as such", m.Name),
				"wait until it does. If its data is lost, restore it, or take the cluster apart: holdfast reset on each host that is left")
		}
	}
	if first := h.First(); h.Host != first {
		return nil, system.Refuse(fmt.Sprintf("%s, the first of the control plane, has made no cluster yet", first)+why(answers[first].Err), "turn it on, and look there: holdfast status")
	}
	for _, m := range h.Members {
		a, ok := answers[m.Name]
		if m.Name != h.Host && m.Role == fleet.ControlPlane && (!ok || a.Err != nil) {
			return nil, system.Refuse(fmt.Sprintf("%s may know of a cluster, and does not answer", m.Name)+why(a.Err),
				"turn it on, and see that it runs the fleet's newest revision; one that will not come back is taken out with state: removed")
		}
	}
	return nil, nil
}

// MayRestore refuses to make the cluster of a backup while another host of the control
// plane is part of the one that the site has, or had: that would make two. One that does
// not answer is taken for lost.
func (h Hosts) MayRestore(ctx context.Context) error {
	answers := h.Ask(ctx)
	for _, m := range h.Servers() {
		if a := answers[m.Name]; a.Err == nil && a.Known {
			return Soon(system.Refuse(m.Name+" is part of a cluster of the site: restoring it here would make two",
				"if that one is to go, run holdfast reset there first; or drop the backup here: holdfast restore --forget"))
		}
	}
	return nil
}

func why(err error) string {
	if err == nil {
		return ""
	}
	return ": " + errors.Unwrap(fmt.Errorf("%w", err)).Error()
}
