package main

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"github.com/holdfast-fleet/holdfast/durable"
	"github.com/holdfast-fleet/holdfast/e2e/standin/documented"
)

// backup writes an archive of the datastore, the configuration, the keys and the bundles of images.
func (k k0s) backup(ctx context.Context, cmd documented.Command) (err error) {
	dir := cmd.Flags["--save-path"]
	snapshot := filepath.Join(dir, ".etcd-snapshot.db")
	if err := saveEtcd(ctx, k0sData+"/standin", snapshot); err != nil {
		return err
	}
	defer os.Remove(snapshot)
	files := map[string]string{"etcd-snapshot.db": snapshot, "k0s.yaml": "/etc/k0s/k0s.yaml"}
	for _, part := range []string{"standin/pki", "images"} {
		found, err := filepath.Glob(filepath.Join(k0sData, part, "*"))
		if err != nil {
			return err
		}
		for _, file := range found {
			files[path.Join(path.Base(part), filepath.Base(file))] = file
		}
	}
	name := "k0s_backup_" + time.Now().UTC().Format("2006-01-02T15_04_05_000Z") + ".tar.gz"
	out, err := os.OpenFile(filepath.Join(dir, name), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	packed := gzip.NewWriter(out)
	archive := tar.NewWriter(packed)
	defer func() { err = errors.Join(err, archive.Close(), packed.Close(), out.Close()) }()
	for name, file := range files {
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

// restore writes the data folder of an archive, where none of it is there yet.
func (k k0s) restore(ctx context.Context, cmd documented.Command) error {
	if running(ctx, filepath.Base(k0sUnits["controller"])) {
		return errors.New("k0s: k0s seems to be running, it must be down during the restore operation")
	}
	files, err := readArchive(cmd.Rest[0])
	if err != nil {
		return err
	}
	keys := map[string][]byte{}
	for name, data := range files {
		file := filepath.Join(k0sData, name)
		switch path.Dir(name) {
		case "pki":
			keys[path.Base(name)] = data
			file = filepath.Join(k0sData, "standin", name)
		case "images":
			err = errors.Join(err, folders(filepath.Dir(file)))
		}
		if _, there := os.Stat(file); there == nil {
			return errors.New("k0s: the data directory has overlapping data with the backup: " + file)
		}
		if path.Dir(name) == "images" {
			err = errors.Join(err, durable.WriteFile(file, data, 0o600))
		}
	}
	if _, there := os.Stat(etcdData(k0sData + "/standin")); there == nil {
		return errors.New("k0s: the data directory has overlapping data with the backup: etcd")
	}
	snapshot := filepath.Join(k0sData, "etcd-snapshot.db")
	defer os.Remove(snapshot)
	config := cmd.Flags["--config-out"]
	if config == "" {
		config = strings.TrimSuffix(filepath.Base(cmd.Rest[0]), ".tar.gz") + ".yaml"
	}
	return errors.Join(err, folders(k0sData), writeKeys(k0sData+"/standin", keys), durable.WriteFile(config, files["k0s.yaml"], 0o600),
		durable.WriteFile(snapshot, files["etcd-snapshot.db"], 0o600), restoreEtcd(ctx, k0sData+"/standin", snapshot, "node", "https://127.0.0.1:2380")) // it is told where it listens when it starts
}

// readArchive reads the files of an archive, by name.
func readArchive(file string) (map[string][]byte, error) {
	in, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer in.Close()
	packed, err := gzip.NewReader(in)
	if err != nil {
		return nil, err
	}
	files := map[string][]byte{}
	for archive := tar.NewReader(packed); ; {
		h, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return files, nil
		}
		if err != nil {
			return nil, err
		}
		if files[h.Name], err = io.ReadAll(archive); err != nil {
			return nil, err
		}
	}
}
