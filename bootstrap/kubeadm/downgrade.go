package kubeadm

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/holdfast-fleet/holdfast/bootstrap/site"
	"github.com/holdfast-fleet/holdfast/bootstrap/system"
	"github.com/holdfast-fleet/holdfast/fleet"
)

// stepRestore is that of a cluster which goes back to what its datastore was before an
// upgrade, for Kubernetes does not read what a newer minor version wrote. It is not
// undone: what was cut off is done again.
const stepRestore upgradeStep = "restore"

// goBackTo has the host go back to an older minor version with the others of its site, see
// [site.Hosts.WayBack]. Until it is its turn it stays what it is, which it is by old.
func (n *node) goBackTo(ctx context.Context, rec record, old *node) error {
	way, waits := site.Way{}, n.mayGoBack(rec)
	if waits == nil {
		way, waits = n.site().WayBack(ctx, n.Cluster.Version, n.hasKept(n.Cluster.Version))
	}
	if way.Through != nil {
		return way.Leave(ctx, n.Peers, n.Cluster.Version, n.log, func() error { return n.depart(ctx, rec) })
	}
	if way.Keeper {
		if err := checkSnapshot(n.snapshotBefore(n.Cluster.Version)); err != nil {
			return err
		}
		if waits == nil {
			return n.restore(ctx, rec)
		}
	}
	if err := old.keepUp(ctx, &rec); err != nil {
		return fmt.Errorf("before it goes back to %s: %w", n.Cluster.Version, err)
	}
	if way.Keeper && rec.Returns == "" {
		n.log.Info("cluster goes back once the other servers have left it", "from", rec.version(), "to", n.Cluster.Version)
		rec.Returns = n.Cluster.Version
		waits = errors.Join(waits, n.writeRecord(rec))
	}
	return waits
}

// mayGoBack refuses what no commit allows.
func (n *node) mayGoBack(rec record) error {
	if n.Downgrade {
		return nil
	}
	return fleet.CheckUpgrade(rec.version(), n.Cluster.Version)
}

// staysWith forgets that the cluster was to go back, where it is not any more.
func (n *node) staysWith(rec *record) error {
	if rec.Returns == "" || n.Downgrade && rec.Returns == n.Cluster.Version {
		return nil
	}
	rec.Returns = ""
	return n.writeRecord(*rec)
}

// kept are the versions that the host has a snapshot of.
func (n *node) kept() []string {
	files, _ := filepath.Glob(n.snapshotBefore("v*")) // the pattern is a good one
	var versions []string
	for _, file := range files {
		name := filepath.Base(file)
		versions = append(versions, strings.TrimSuffix(strings.TrimPrefix(name, "etcd-"), ".snapshot"))
	}
	return versions
}

func (n *node) hasKept(version string) bool { return slices.Contains(n.kept(), version) }

// restore goes back to the snapshot of before the upgrade: all that was written since is gone.
func (n *node) restore(ctx context.Context, rec record) error {
	began := time.Now()
	if rec.Upgrade == nil || rec.Upgrade.Step != stepRestore {
		rec.Upgrade = &upgrade{rec.version(), n.Cluster.Version, stepRestore}
		if err := n.writeRecord(rec); err != nil {
			return err
		}
	}
	n.log.Info("cluster goes back to what it was before an upgrade", "from", rec.Upgrade.From, "to", n.Cluster.Version)
	config, err := n.writeConfig(rec.Address)
	if err != nil {
		return err
	}
	if err := n.runtimeRuns(ctx); err != nil {
		return fmt.Errorf("start containerd: %w", err)
	}
	if err := n.restoreSnapshot(ctx, n.snapshotBefore(n.Cluster.Version), rec.Address); err != nil {
		return err
	}
	if err := n.kubeletUnit(ctx); err != nil {
		return err
	}
	for _, phase := range [][]string{{"etcd", "local"}, {"control-plane", "all"}, {"kubelet-start"}} {
		if err := n.kubeadm(ctx, "restore", append(append([]string{"init", "phase"}, phase...), "--config="+config)...); err != nil {
			return err
		}
	}
	if err := n.runs(ctx); err != nil {
		return err
	}
	if err := n.await(ctx, n.upgraded); err != nil {
		return err
	}
	server, err := n.localAPI()
	if err != nil {
		return err
	}
	defer server.Close()
	if err := errors.Join(n.sayVersion(ctx, server, rec.Address), n.dropStrangers(ctx)); err != nil {
		return err
	}
	n.log.Info("cluster is what it was", "version", n.Cluster.Version, "took", time.Since(began).Round(time.Millisecond))
	return n.writeRecord(n.done(rec))
}

// finishRestore goes on with what was cut off.
func (n *node) finishRestore(ctx context.Context, rec record) error {
	if rec.Upgrade.To != n.Cluster.Version {
		return system.Refuse(fmt.Sprintf("the cluster was going back to %s when that was cut off, and the fleet says %s", rec.Upgrade.To, n.Cluster.Version),
			"let the fleet say "+rec.Upgrade.To+" until the host runs it")
	}
	return n.restore(ctx, rec)
}

func minorOf(version string) int { return fleet.VersionOf(version)[1] }
