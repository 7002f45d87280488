package solo

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/holdfast-fleet/holdfast/bootstrap/site"
	"github.com/holdfast-fleet/holdfast/bootstrap/system"
	"github.com/holdfast-fleet/holdfast/durable"
	"github.com/holdfast-fleet/holdfast/fleet"
	"github.com/holdfast-fleet/holdfast/peers"
)

// Site is what a node knows of the other hosts of its site.
type Site struct {
	Members []peers.Member // active hosts of the site, this one among them
	Removed []string       // hosts that the site had, which the servers take out
	Peers   site.Peers     // reaches the others
}

// TokenFile is the name of the file in our own folder that has what a host joins with.
const TokenFile = "token"

// Hosts are those of the node's site.
func (w Wanted) Hosts() site.Hosts {
	return site.Hosts{Host: w.Host, Members: w.Members, Peers: w.Peers}
}

// joinedBy is the address of the server that a node was made by, if any: one that is made
// of a backup is made by none. A worker whose server is gone looks for the cluster at
// another: a server knows where it is.
func (n *node) joinedBy(rec record) string {
	if n.From != "" {
		return ""
	}
	servers := n.Hosts().Servers()
	if !n.Worker || len(servers) == 0 || slices.ContainsFunc(servers, func(m peers.Member) bool { return m.Network.Address == rec.Through }) {
		return rec.Through
	}
	return servers[0].Network.Address
}

// isNoLongerFirst tells whether the host began a cluster that is another's to make, since a
// commit says so. As long as it knows of that attempt the other would wait for it.
func (n *node) isNoLongerFirst(rec record) bool {
	return rec.Step == stepInstall && !rec.Worker && rec.Through == "" && n.From == "" && len(n.Hosts().Others()) > 0 && n.Host != n.Hosts().First()
}

// join finds out how the host becomes part of its site's cluster, and gets what that takes.
// One that makes the cluster needs nobody.
func (n *node) join(ctx context.Context) error {
	var through *peers.Member
	var err error
	if n.Worker {
		through, err = n.mayRun(ctx, false)
	} else if through, err = n.Hosts().Origin(ctx, n.log); err == nil && through != nil {
		err = n.Hosts().MayJoin(ctx, *through, n.Cluster.Version)
	}
	if err != nil {
		return err
	}
	if through == nil {
		n.through = ""
		return nil
	}
	n.through = through.Network.Address
	if system.Exists(n.Kubelet) {
		return nil
	}
	return n.take(ctx, *through)
}

// take gets what joining takes, which may hold for a while only.
func (n *node) take(ctx context.Context, through peers.Member) error {
	material, err := site.AskToJoin(ctx, n.log, through, n.Peers.Join)
	if err != nil {
		return fmt.Errorf("join through %s: %w", through.Name, err)
	}
	names := []string{TokenFile}
	if !n.Worker {
		names = append(names, n.Shared...)
	}
	for _, name := range names {
		if len(material[name]) == 0 {
			return fmt.Errorf("join through %s: it gave no %s", through.Name, name)
		}
	}
	if err := os.MkdirAll(n.Dir, 0o700); err != nil {
		return err
	}
	for _, name := range names {
		if err := durable.WriteFile(filepath.Join(n.Dir, name), material[name], 0o600); err != nil {
			return err
		}
	}
	n.given = true
	return nil
}

// drop takes away what an attempt left that was to become something else: a cluster of
// this host's own, or a part of another's.
func (n *node) drop(ctx context.Context) error {
	n.log.Info("an attempt was cut off; starting again")
	if err := n.uninstall(ctx); err != nil {
		return err
	}
	for _, name := range append([]string{TokenFile}, n.Shared...) {
		if err := os.RemoveAll(filepath.Join(n.Dir, name)); err != nil {
			return err
		}
	}
	return os.RemoveAll(n.recordFile())
}

// mayRun returns the server that lets a worker become a node of its version, or go to
// it: no kubelet is newer than its API server, see
// https://kubernetes.io/releases/version-skew-policy/. One that is a node waits for all of them.
func (n *node) mayRun(ctx context.Context, made bool) (through *peers.Member, err error) {
	servers := n.Hosts().Servers()
	if n.Peers == nil || len(servers) == 0 {
		return nil, system.Refuse("this host is a worker, and its site has no control plane", "register a host of the site as such")
	}
	answers := n.Hosts().Ask(ctx)
	var missing []error
	for i, m := range servers {
		known := answers[m.Name]
		switch {
		case known.Err != nil:
			missing = append(missing, fmt.Errorf("join through %s: %w", m.Name, known.Err))
		case !known.Gives:
			missing = append(missing, system.Refuse(m.Name+" runs no cluster that this host could join just now", "it joins by itself once that is ready; look there: holdfast status"))
		case made && known.Version != n.Cluster.Version, fleet.VersionOf(known.Version).Compare(fleet.VersionOf(n.Cluster.Version)) < 0:
			return nil, site.Soon(system.Refuse(fmt.Sprintf("%s runs %s, and this host is to run %s", m.Name, known.Version, n.Cluster.Version),
				"it follows by itself once the control plane is upgraded; look there: holdfast status"))
		case through == nil:
			through = &servers[i]
		}
	}
	if len(missing) > 0 && (made || through == nil) {
		return nil, site.Soon(missing[0])
	}
	return through, nil
}

// joined tells whether the cluster has this host's node, Ready.
func (n *node) joined(ctx context.Context) error {
	errs := []error{errors.New("the cluster does not have node " + n.Host + " as Ready")}
	for _, answer := range n.Hosts().Ask(ctx) {
		if slices.ContainsFunc(answer.Nodes, func(o peers.Node) bool { return o.Name == n.Host && o.Ready }) {
			return nil
		}
		errs = append(errs, answer.Err)
	}
	return errors.Join(errs...)
}
