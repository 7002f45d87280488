package kubeadm

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/holdfast-fleet/holdfast/bootstrap/site"
	"github.com/holdfast-fleet/holdfast/bootstrap/system"
	"github.com/holdfast-fleet/holdfast/durable"
	"github.com/holdfast-fleet/holdfast/peers"
)

// The files of a backup, below its folder.
const (
	backupData   = "etcd.db"
	backupRecord = "record.json"
	backupPKI    = "pki"
)

// Backup writes what the cluster is made of again into an empty folder: its data, its
// authorities, and what it was made with.
func Backup(ctx context.Context, dir, into string) error {
	n, rec, err := made(dir)
	if err != nil {
		return err
	}
	if n == nil || rec.Worker || rec.Step != stepReady {
		return errors.New("this host has no control plane that could be backed up")
	}
	if err := Snapshot(ctx, filepath.Join(into, backupData)); err != nil {
		return err
	}
	material, err := readPKI()
	if err != nil {
		return err
	}
	if err := writePKI(filepath.Join(into, backupPKI), material); err != nil {
		return err
	}
	return durable.WriteJSON(filepath.Join(into, backupRecord), rec)
}

// writePKI writes what all hosts of a control plane share below a folder.
func writePKI(dir string, material peers.Material) error {
	for _, name := range pkiFiles {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return err
		}
		if err := durable.WriteFile(path, material[name], 0o600); err != nil {
			return err
		}
	}
	return nil
}

// restoreBackup makes the host's cluster that of the backup, whether it has one or not.
func (n *node) restoreBackup(ctx context.Context, rec *record) error {
	if err := n.mayRestoreBackup(*rec); err != nil {
		return err
	}
	if err := n.site().MayRestore(ctx); err != nil {
		return err
	}
	if rec.Step == stepReady {
		n.log.Info("cluster goes back to a backup", "version", n.Cluster.Version)
		if err := n.runtimeRuns(ctx); err != nil {
			return fmt.Errorf("start containerd: %w", err)
		}
		if err := n.restoreSnapshot(ctx, filepath.Join(n.From, backupData), rec.Address); err != nil {
			return err
		}
	}
	if err := n.keepUp(ctx, rec); err != nil {
		return err
	}
	return n.dropStrangers(ctx)
}

// mayRestoreBackup refuses a backup that this host cannot become, as it is.
func (n *node) mayRestoreBackup(rec record) error {
	if n.Worker {
		return system.Refuse("a worker is made of no backup", "restore it on a host of the control plane; or drop it: holdfast restore --forget")
	}
	if rec.Step == stepReady && (rec.Upgrade != nil || rec.Cluster.Version != n.Cluster.Version) {
		return system.Refuse("a cluster goes back to a backup only while its version stays", "let the upgrade end, or set the version back; or drop the backup: holdfast restore --forget")
	}
	was, err := n.backedUp()
	if err != nil {
		return err
	}
	switch {
	case minor(was.Version) != minor(n.Cluster.Version):
		return system.Refuse(fmt.Sprintf("the backup is of Kubernetes %s, and the fleet says %s", was.Version, n.Cluster.Version),
			"set the version to one of "+minor(was.Version)+" until it is restored, and upgrade then")
	case was.PodCIDR != n.Cluster.PodCIDR || was.ServiceCIDR != n.Cluster.ServiceCIDR || was.APIPort != n.Cluster.APIPort:
		return system.Refuse(fmt.Sprintf("the backup is of a cluster that was made with %+v, and the fleet says otherwise", was),
			"set networks and port back in the distribution")
	case rec.Step != stepReady:
		return nil
	}
	same, err := system.SameFile(filepath.Join(n.From, backupPKI, "ca.crt"), filepath.Join(pkiDir, "ca.crt"))
	if err == nil && !same {
		err = system.Refuse("this host runs another cluster than the one that the backup is of",
			"to have that one here, take this one apart and order it again: holdfast restore --replace; or drop it: holdfast restore --forget")
	}
	return err
}

// backedUp is what the cluster of the backup was made with.
func (n *node) backedUp() (Cluster, error) {
	data, err := os.ReadFile(filepath.Join(n.From, backupRecord))
	if err != nil {
		return Cluster{}, err
	}
	var rec record
	if err := json.Unmarshal(data, &rec); err != nil {
		return Cluster{}, fmt.Errorf("%s of the backup: %w", backupRecord, err)
	}
	return rec.Cluster, nil
}

// rebuild makes the cluster of the backup: what kubeadm would make first is there
// already, and what it writes into the cluster it finds.
func (n *node) rebuild(ctx context.Context, address string) error {
	n.log.Info("cluster is made of a backup", "version", n.Cluster.Version)
	material := peers.Material{}
	for _, name := range pkiFiles {
		data, err := os.ReadFile(filepath.Join(n.From, backupPKI, name))
		if err != nil {
			return err
		}
		material[name] = data
	}
	if err := writePKI(pkiDir, material); err != nil {
		return err
	}
	if err := n.replaceData(ctx, filepath.Join(n.From, backupData), address); err != nil {
		return err
	}
	config, err := n.writeConfig(address)
	if err != nil {
		return err
	}
	return n.run(ctx, "init", "init", "--config="+config, "--ignore-preflight-errors=DirAvailable--var-lib-etcd")
}

// dropStrangers removes nodes of hosts that the site does not have, and takes none for away.
func (n *node) dropStrangers(ctx context.Context) error {
	server, err := n.localAPI()
	if err != nil {
		return err
	}
	defer server.Close()
	gone, err := server.KeepNodes(ctx, n.site().Has)
	for _, name := range gone {
		n.log.Info("node of a host that is not of the site is removed", "host", name)
	}
	return errors.Join(err, site.Admin{Server: server, Kubectl: n.kubectl}.AllBack(ctx))
}
