// Package k3s makes a host a cluster of k3s, or of RKE2, which is made of it, as
// https://docs.k3s.io and https://docs.rke2.io have it for hosts without a network: the program, its unit, its configuration file, and
// its images as archives. Nothing is pulled, and no secret is in a command line.
// Other hosts of the site join it as agents.
//
// What is written here was checked against that documentation, see
// e2e/standin/documented, and not against the program.
package k3s

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/holdfast-fleet/holdfast/bootstrap/containerd"
	"github.com/holdfast-fleet/holdfast/bootstrap/solo"
	"github.com/holdfast-fleet/holdfast/bootstrap/system"
	"github.com/holdfast-fleet/holdfast/durable"
)

// Config says what the node should be.
type Config struct {
	Dir      string // for the record and the token
	Programs string // folder with the program
	Images   string // folder with the archives of its images
	Host     string // name of the node
	Worker   bool   // not of the control plane
	solo.Site
	Network system.Network
	Cluster solo.Cluster
	Disable []string // parts that are not wanted

	Layers  map[string]string // images of the layers, reference → digest
	Archive containerd.Archive

	Registries containerd.Registries
	From       string       // folder that Backup wrote, which the cluster is to be made of; mostly empty
	Log        *slog.Logger // nil discards
}

// Names of the files of tokens. What is confidential in a snapshot is encrypted with
// that of the cluster, which agents do not get: they join with one of their own.
const (
	tokenFile      = solo.TokenFile // an agent's is the one that it was given
	agentTokenFile = "agent-token"
)

// Ensure makes the host a cluster as cfg says: see [solo.Ensure].
func (f Family) Ensure(ctx context.Context, cfg Config) error {
	program := filepath.Join(cfg.Programs, f.Name)
	if !system.Exists(program) {
		return fmt.Errorf("the artifact of programs has no file %s", f.Name)
	}
	if err := f.makeTokens(cfg); err != nil {
		return err
	}
	return solo.Ensure(ctx, solo.Config{
		Kind: f.kind(), Dir: cfg.Dir, Program: program, Host: cfg.Host, Network: cfg.Network, Cluster: cfg.Cluster,
		Worker: cfg.Worker, Site: cfg.Site,
		Files:    func(address string) map[string]string { return f.files(cfg, program, address) },
		Archives: cfg.Images, Layers: cfg.Layers, Archive: cfg.Archive, From: cfg.From, Log: cfg.Log,
	})
}

// makeTokens makes those of a server. One for agents is there from when the site first
// has several hosts.
func (f Family) makeTokens(cfg Config) error {
	if cfg.Worker {
		return nil
	}
	if len(cfg.Members) > 1 && cfg.From != "" {
		return system.Refuse("a site of several hosts of type "+f.Name+" is not made of a backup",
			"take the others out with state: removed, restore, and register them anew")
	}
	err := ensureToken(filepath.Join(cfg.Dir, tokenFile))
	if err == nil && len(cfg.Members) > 1 {
		err = ensureToken(filepath.Join(cfg.Dir, agentTokenFile))
	}
	if err != nil {
		return fmt.Errorf("make the cluster's token: %w", err)
	}
	return nil
}

// Backup writes what the cluster is made of again into an empty folder: see [solo.Backup].
func (f Family) Backup(ctx context.Context, dir, into string) error {
	return solo.Backup(ctx, f.kind(), dir, into)
}

// Stop ends the program and all pods, and keeps the data.
func (f Family) Stop(ctx context.Context, dir string) error { return solo.Stop(ctx, f.kind(), dir) }

// Reset takes the node apart and removes what Ensure and the program made on the host, data included.
func (f Family) Reset(ctx context.Context, dir string) error { return solo.Reset(ctx, f.kind(), dir) }

// Leave takes a removed worker apart, once its cluster has let it go: see [solo.Leave].
func (f Family) Leave(ctx context.Context, dir, host string) error {
	return solo.Leave(ctx, f.kind(), dir, host)
}

// Local answers the other hosts of the site for the node in a folder.
func (f Family) Local(dir string) solo.Local { return solo.Local{Kind: f.kind(), Dir: dir} }

// ensureToken makes the secret that a cluster's snapshots are encrypted with, or
// that its agents join with, once.
func ensureToken(path string) error {
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	secret := make([]byte, 32)
	if _, err := rand.Read(secret); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	return durable.WriteFile(path, []byte(hex.EncodeToString(secret)+"\n"), 0o600)
}
