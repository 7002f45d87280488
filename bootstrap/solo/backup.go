package solo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/holdfast-fleet/holdfast/bootstrap/kubeapi"
	"github.com/holdfast-fleet/holdfast/bootstrap/site"
	"github.com/holdfast-fleet/holdfast/bootstrap/system"
	"github.com/holdfast-fleet/holdfast/durable"
)

// The parts of a backup, below its folder.
const (
	backupRecord = "record.json"
	backupData   = "data" // folder of the one file that the program made
	backupKept   = "kept" // folder of what the kind keeps
)

// origin is what a backup says of the cluster that it is of.
type origin struct {
	Cluster   Cluster `json:"cluster"`
	Authority string  `json:"authority"` // digest of its authority's certificate
}

// Backup writes what the cluster is made of again into an empty folder: what the
// program's own command keeps of it, and what the kind needs beside that.
func Backup(ctx context.Context, kind Kind, dir, into string) error {
	n, rec, err := made(kind, dir)
	if err != nil {
		return err
	}
	if n == nil || rec.Step != stepReady {
		return errors.New("this host has no cluster that could be backed up")
	}
	return n.backup(ctx, rec, into)
}

func (n *node) backup(ctx context.Context, rec record, into string) (err error) {
	of := origin{Cluster: rec.Cluster}
	if of.Authority, err = kubeapi.Authority(n.Kubeconfig); err != nil {
		return err
	}
	data, err := json.Marshal(of)
	if err != nil {
		return err
	}
	if err := n.keep(n.Dir, filepath.Join(into, backupKept)); err != nil {
		return err
	}
	if err := n.save(ctx, filepath.Join(into, backupData)); err != nil {
		return err
	}
	return durable.WriteFile(filepath.Join(into, backupRecord), data, 0o600)
}

// keep copies the files that belong to the datastore. Those that servers share are there
// once the site has several hosts.
func (n *node) keep(from, to string) error {
	for _, name := range slices.Concat(n.Keeps, n.Shared) {
		err := copyFile(filepath.Join(from, name), filepath.Join(to, name))
		if slices.Contains(n.Shared, name) && errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// save has the program keep the datastore in a new folder.
func (n *node) save(ctx context.Context, folder string) error {
	const name = "holdfast-backup"
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return err
	}
	if n.Snapshots == "" {
		if _, err := n.call(ctx, "backup", append([]string{n.Program}, n.Snapshot(name, folder)...)); err != nil {
			return err
		}
		file, err := only(filepath.Join(folder, "*"))
		if err != nil {
			return err
		}
		return errors.Join(durable.Disk{}.SyncFile(file), durable.SyncDir(folder))
	}
	if err := n.forget(ctx, name); err != nil { // of one that was cut off
		return err
	}
	if _, err := n.call(ctx, "backup", append([]string{n.Program}, n.Snapshot(name, folder)...)); err != nil {
		return err
	}
	file, err := only(filepath.Join(n.Snapshots, name+"-*"))
	if err != nil {
		return err
	}
	return errors.Join(copyFile(file, filepath.Join(folder, filepath.Base(file))), n.forget(ctx, name))
}

// forget has the program remove the snapshots of a name.
func (n *node) forget(ctx context.Context, name string) error {
	found, err := filepath.Glob(filepath.Join(n.Snapshots, name+"-*"))
	for _, file := range found {
		_, failed := n.call(ctx, "backup", append([]string{n.Program}, n.Forget(filepath.Base(file))...))
		err = errors.Join(err, failed)
	}
	return err
}

// only is the one file of a pattern.
func only(pattern string) (string, error) {
	found, err := filepath.Glob(pattern)
	if err == nil && len(found) != 1 {
		err = fmt.Errorf("%s are %d files, and one is expected", pattern, len(found))
	}
	if err != nil {
		return "", err
	}
	return found[0], nil
}

// restore makes the datastore that of the backup, and leaves it to the rest of Ensure
// to start it. Cut off at any point, it can be done again.
func (n *node) restore(ctx context.Context, rec *record, address string) error {
	if err := n.mayRestore(*rec); err != nil {
		return err
	}
	if err := n.Hosts().MayRestore(ctx); err != nil {
		return err
	}
	n.log.Info("cluster is made of a backup", "version", n.Cluster.Version)
	if err := n.makeRoom(ctx, rec, address); err != nil {
		return err
	}
	if err := n.keep(filepath.Join(n.From, backupKept), n.Dir); err != nil {
		return err
	}
	if !n.Afresh { // it reads its configuration, and may need its images
		if err := n.placeArchives(); err != nil {
			return err
		}
		if _, err := n.configure(ctx); err != nil {
			return err
		}
	}
	file, err := only(filepath.Join(n.From, backupData, "*"))
	if err != nil {
		return err
	}
	_, err = n.call(ctx, "restore", append([]string{n.Program}, n.Restore(file)...))
	return err
}

// makeRoom leaves nothing running, and of the data what the kind takes a backup beside.
func (n *node) makeRoom(ctx context.Context, rec *record, address string) error {
	if rec.made() && !n.Afresh {
		stop := n.stop
		if rec.Back == "" { // pods go on
			stop = func(ctx context.Context) error { return system.Systemctl(ctx, "stop", n.unit()+".service") }
		}
		if err := stop(ctx); err != nil {
			return err
		}
		return os.RemoveAll(n.Lock)
	}
	begun := rec.Step != ""
	*rec = record{Step: stepInstall, Cluster: n.Cluster, Program: n.Program, Address: address, Back: rec.Back}
	if err := n.writeRecord(*rec); err != nil || !begun {
		return err
	}
	return n.uninstall(ctx)
}

// mayRestore refuses a backup that this host's cluster cannot become, as it is.
func (n *node) mayRestore(rec record) error {
	if n.Worker {
		return system.Refuse("a worker is made of no backup", "restore it on a host of the control plane; or drop it: holdfast restore --forget")
	}
	if rec.Back == "" && (rec.Step == stepUpgrade || rec.Step == stepReady && rec.Cluster.Version != n.Cluster.Version) {
		return system.Refuse("a cluster goes back to a backup only while its version stays", "let the upgrade end, or set the version back; or drop the backup: holdfast restore --forget")
	}
	var of origin
	data, err := os.ReadFile(filepath.Join(n.From, backupRecord))
	if err == nil {
		err = json.Unmarshal(data, &of)
	}
	if err != nil {
		return fmt.Errorf("%s of the backup: %w", backupRecord, err)
	}
	was, is := of.Cluster, n.Cluster
	switch {
	case minor(was.Version) != minor(is.Version):
		return system.Refuse(fmt.Sprintf("the backup is of %s, and the fleet says %s", was.Version, is.Version),
			fmt.Sprintf("set the version to one of v1.%d until it is restored, and upgrade then", minor(was.Version)))
	case was.PodCIDR != is.PodCIDR || was.ServiceCIDR != is.ServiceCIDR || was.APIPort != is.APIPort:
		return system.Refuse(fmt.Sprintf("the backup is of a cluster with pods in %s, services in %s, port %d, and the fleet says otherwise", was.PodCIDR, was.ServiceCIDR, was.APIPort),
			"set networks and port back in the distribution")
	case rec.Step != stepReady:
		return nil
	}
	have, err := kubeapi.Authority(n.Kubeconfig)
	if err == nil && have != of.Authority {
		err = system.Refuse("this host runs another cluster than the one that the backup is of",
			"to have that one here, take this one apart and order it again: holdfast restore --replace; or drop it: holdfast restore --forget")
	}
	return err
}

// dropStrangers removes nodes of hosts that the site does not have, and takes none for away.
func (n *node) dropStrangers(ctx context.Context) error {
	server, err := kubeapi.Open(n.Kubeconfig, n.Cluster.APIPort)
	if err != nil {
		return err
	}
	defer server.Close()
	gone, err := server.KeepNodes(ctx, n.Hosts().Has)
	for _, name := range gone {
		n.log.Info("node of a host that is not of the site is removed", "host", name)
	}
	return errors.Join(err, site.Admin{Server: server, Kubectl: n.kubectl(n.Program)}.AllBack(ctx))
}
