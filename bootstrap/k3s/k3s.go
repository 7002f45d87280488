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
	"os"
	"path/filepath"

	"github.com/holdfast-fleet/holdfast/bootstrap/solo"
	"github.com/holdfast-fleet/holdfast/durable"
)

// Names of the files of tokens. What is confidential in a snapshot is encrypted with
// that of the cluster, which agents do not get: they join with one of their own.
const (
	tokenFile      = solo.TokenFile // an agent's is the one that it was given
	agentTokenFile = "agent-token"
)

// Ensure makes the host a cluster, or one of its workers, as wanted: see [solo.Ensure].
func (f Family) Ensure(ctx context.Context, want solo.Wanted) error {
	if err := f.makeTokens(want); err != nil {
		return err
	}
	return solo.Ensure(ctx, solo.Config{
		Kind: f.Kind(want.Dir), Wanted: want,
		Files: func(address string) map[string]string { return f.files(want, address) },
	})
}

// makeTokens makes those of a server. One for agents is there from when the site first
// has several hosts.
func (f Family) makeTokens(want solo.Wanted) error {
	if want.Worker {
		return nil
	}
	err := ensureToken(filepath.Join(want.Dir, tokenFile))
	if err == nil && len(want.Members) > 1 {
		err = ensureToken(filepath.Join(want.Dir, agentTokenFile))
	}
	if err != nil {
		return fmt.Errorf("make the cluster's token: %w", err)
	}
	return nil
}

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
