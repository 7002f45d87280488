// Package k3s makes a host a cluster of k3s, or of RKE2, which is made of it, as
// https://docs.k3s.io and https://docs.rke2.io have it for hosts without a network: the program, its unit, its configuration file, and
// its images as archives. Nothing is pulled, and no secret is in a command line.
// Other hosts of the site join it as servers and as agents.
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
// that of the cluster, with which servers join. Agents do not get it: they join with one
// of their own, which all servers know.
const (
	tokenFile      = solo.TokenFile // that of a host that joined is the one that it was given
	agentTokenFile = "agent-token"
)

// Ensure makes the host a cluster, or one of its workers, as wanted: see [solo.Ensure].
func (f Family) Ensure(ctx context.Context, want solo.Wanted) error {
	return solo.Ensure(ctx, solo.Config{
		Kind: f.Kind(want.Dir), Wanted: want,
		Secrets: func() error { return makeTokens(want) },
		Files:   func(address, through string) map[string]string { return f.files(want, address, through) },
	})
}

// makeTokens makes those of a cluster. One for agents is there from when the site first
// has several hosts.
func makeTokens(want solo.Wanted) error {
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
