package solo

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/holdfast-fleet/holdfast/bootstrap/system"
	"github.com/holdfast-fleet/holdfast/durable"
)

// before is the folder of what the cluster was with a version, before it went to
// another: as [Backup] writes it.
func (n *node) before(version string) string { return filepath.Join(n.befores(), tag(version)) }

// befores is the folder of these. There is one, but for a power cut.
func (n *node) befores() string { return filepath.Join(n.Dir, "before") }

// prepare moves the pods of a server that goes to another version, and has the program
// that runs keep the cluster as it is, for it to go back to.
func (n *node) prepare(ctx context.Context, rec *record) error {
	if err := system.Systemctl(ctx, "start", n.unit()+".service"); err != nil {
		return err
	}
	if err := n.await(ctx); err != nil {
		return err
	}
	if err := n.moveAway(ctx, rec); err != nil {
		return err
	}
	return n.keepBefore(ctx, rec)
}

func (n *node) keepBefore(ctx context.Context, rec *record) error {
	old := *n
	old.Program = rec.Program
	folder := n.before(rec.Cluster.Version)
	fresh := folder + ".partial"
	if err := os.RemoveAll(n.befores()); err != nil {
		return err
	}
	if err := os.MkdirAll(fresh, 0o700); err != nil {
		return err
	}
	if err := old.backup(ctx, *rec, fresh); err != nil {
		return err
	}
	var disk durable.Disk
	if err := errors.Join(disk.Rename(fresh, folder), disk.SyncDir(n.befores())); err != nil {
		return err
	}
	n.log.Info("cluster is kept as it is", "in", folder, "from", rec.Cluster.Version, "to", n.Cluster.Version)
	rec.Step = stepUpgrade
	return nil
}

// goBack has the node made of what the cluster was before an upgrade, where a commit
// allows that: Kubernetes does not read what a newer minor version wrote. What was cut
// off is done again, until the node is ready. Of several hosts, see [site.Hosts.WayBack].
func (n *node) goBack(ctx context.Context, rec *record) error {
	older := rec.made() && minor(n.Cluster.Version) < minor(rec.Cluster.Version)
	if rec.Returns != "" && (!older || !n.Downgrade || rec.Returns != n.Cluster.Version) {
		rec.Returns = ""
		if err := n.writeRecord(*rec); err != nil {
			return err
		}
	}
	switch {
	case n.From != "", rec.Back == "" && !older:
		return nil
	case rec.Back == "":
		if err := n.mayGoBack(ctx, rec); err != nil {
			return err
		}
		rec.Back = n.Cluster.Version
		if err := n.writeRecord(*rec); err != nil {
			return err
		}
	case rec.Back != n.Cluster.Version:
		return system.Refuse(fmt.Sprintf("the cluster was going back to %s when that was cut off, and the fleet says %s", rec.Back, n.Cluster.Version),
			"let the fleet say "+rec.Back+" until the host runs it")
	}
	n.From = n.before(rec.Back)
	return nil
}

// mayGoBack refuses what no commit allows, and where this host is not the one that goes
// back, or not yet, does what it can do for that.
func (n *node) mayGoBack(ctx context.Context, rec *record) error {
	if !n.Downgrade {
		return mayBecome(rec.Cluster, n.Cluster)
	}
	way, err := n.Hosts().WayBack(ctx, n.Cluster.Version, slices.Contains(n.kept(), n.Cluster.Version))
	switch {
	case way.Through != nil:
		return way.Leave(ctx, n.Peers, n.Cluster.Version, n.log, func() error { return n.depart(ctx, *rec) })
	case err != nil && way.Keeper && rec.Returns == "":
		n.log.Info("cluster goes back once the other servers have left it", "from", rec.Cluster.Version, "to", n.Cluster.Version)
		rec.Returns = n.Cluster.Version
		return errors.Join(err, n.writeRecord(*rec))
	}
	return err
}

// kept are the versions that the host has the cluster's data of.
func (n *node) kept() []string {
	files, _ := filepath.Glob(filepath.Join(n.befores(), "*", backupRecord)) // the pattern is a good one
	var versions []string
	for _, file := range files {
		var of origin
		if found, err := durable.ReadJSON(file, &of); err == nil && found && filepath.Dir(file) == n.before(of.Cluster.Version) {
			versions = append(versions, of.Cluster.Version)
		}
	}
	return versions
}
