package main

import (
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/holdfast-fleet/holdfast/durable"
)

// etcdData is the folder of the datastore of an embedded cluster.
func etcdData(dir string) string { return filepath.Join(dir, "data", "etcd") }

// restoreEtcd makes the datastore of an embedded cluster, which has none, of a snapshot. Its
// only member is the named one.
func restoreEtcd(ctx context.Context, dir, snapshot, name, peer string) error {
	if err := os.MkdirAll(filepath.Dir(etcdData(dir)), 0o755); err != nil {
		return err
	}
	out, err := exec.CommandContext(ctx, programs+"/etcdutl", "snapshot", "restore", snapshot, "--data-dir="+etcdData(dir),
		"--name="+name, "--initial-cluster="+name+"="+peer, "--initial-advertise-peer-urls="+peer).CombinedOutput()
	if err != nil {
		return fmt.Errorf("restore %s: %w: %s", snapshot, err, out)
	}
	return nil
}

// copyEtcd keeps the datastore of an embedded cluster that does not run in a file, followed by its hash as in a snapshot.
func copyEtcd(dir, file string) error {
	data, err := os.ReadFile(filepath.Join(etcdData(dir), "member", "snap", "db"))
	if err != nil {
		return err
	}
	hash := sha256.Sum256(data)
	return durable.WriteFile(file, append(data, hash[:]...), 0o600)
}

// readKeys reads the certificates and keys of an embedded cluster, by name.
func readKeys(dir string) (map[string][]byte, error) {
	files, err := filepath.Glob(filepath.Join(dir, "pki", "*"))
	if err != nil {
		return nil, err
	}
	keys := map[string][]byte{}
	for _, file := range files {
		if keys[filepath.Base(file)], err = os.ReadFile(file); err != nil {
			return nil, err
		}
	}
	return keys, nil
}

// writeKeys has them on disk before anybody counts on them, as k0s does.
func writeKeys(dir string, keys map[string][]byte) error {
	dir = filepath.Join(dir, "pki")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	for name, data := range keys {
		if err := durable.WriteFile(filepath.Join(dir, filepath.Base(name)), data, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// running tells whether a unit is.
func running(ctx context.Context, unit string) bool {
	return exec.CommandContext(ctx, "systemctl", "is-active", "--quiet", unit).Run() == nil
}
