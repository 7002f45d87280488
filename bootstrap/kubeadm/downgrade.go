package kubeadm

import (
	"context"
	"fmt"
	"time"

	"github.com/holdfast-fleet/holdfast/bootstrap/system"
	"github.com/holdfast-fleet/holdfast/fleet"
)

// stepRestore is that of a cluster which goes back to what its datastore was before an
// upgrade, for Kubernetes does not read what a newer minor version wrote. It is not
// undone: what was cut off is done again.
const stepRestore upgradeStep = "restore"

// mayRestore refuses to go back where nothing is there to go back to.
func (n *node) mayRestore(rec record) error {
	refused := fleet.CheckUpgrade(rec.version(), n.Cluster.Version)
	switch {
	case !n.Downgrade:
		return refused
	case n.Worker || len(n.others()) > 0:
		return system.Refuse(refused.Error()+", and this site has several hosts",
			"set the version back; or restore a backup: take the site apart with holdfast reset, and make it anew with the older version")
	case !system.Exists(n.snapshotBefore(n.Cluster.Version)):
		return system.Refuse(fmt.Sprintf("%s, and no snapshot of it is left that was taken with %s", refused, n.Cluster.Version),
			"set the version back; or restore a backup on a cluster that is made anew")
	}
	return nil
}

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
	if err := n.dropStrangers(ctx); err != nil {
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
