package main

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"errors"
	"os"
	"path/filepath"
	"time"

	"github.com/holdfast-fleet/holdfast/e2e/standin/documented"
)

// backup writes an archive of the datastore, the configuration and the keys.
func (k k0s) backup(ctx context.Context, cmd documented.Command) (err error) {
	dir := cmd.Flags["--save-path"]
	snapshot := filepath.Join(dir, ".etcd-snapshot.db")
	if err := saveEtcd(ctx, k0sData+"/standin", snapshot); err != nil {
		return err
	}
	defer os.Remove(snapshot)
	name := "k0s_backup_" + time.Now().UTC().Format("2006-01-02T15_04_05_000Z") + ".tar.gz"
	out, err := os.OpenFile(filepath.Join(dir, name), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	packed := gzip.NewWriter(out)
	archive := tar.NewWriter(packed)
	defer func() { err = errors.Join(err, archive.Close(), packed.Close(), out.Close()) }()
	for name, file := range map[string]string{"etcd-snapshot.db": snapshot, "k0s.yaml": "/etc/k0s/k0s.yaml", "pki/admin.conf": k0sData + "/pki/admin.conf"} {
		data, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		if err := archive.WriteHeader(&tar.Header{Name: name, Mode: 0o600, Size: int64(len(data))}); err != nil {
			return err
		}
		if _, err := archive.Write(data); err != nil {
			return err
		}
	}
	return nil
}
