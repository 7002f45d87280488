package bootstrap

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/holdfast-fleet/holdfast/bootstrap/embedded"
	"github.com/holdfast-fleet/holdfast/content"
	"github.com/holdfast-fleet/holdfast/fleet"
)

// embeddedDriver runs Kubernetes from an artifact of programs, see package embedded.
// The programs lie in DIR/bin/DIGEST, unpacked once.
type embeddedDriver struct{}

// Minors is what its configuration was written for, and kube beside it builds.
func (embeddedDriver) Minors() []string { return []string{"v1.36"} }

func (embeddedDriver) Needs(d fleet.Distribution) []string {
	refs := []string{programsRef(d)}
	if !d.ControlPlane {
		refs = append(refs, pauseRef(d))
	}
	return refs
}

// Shares is false: it has no way to join.
func (embeddedDriver) Shares() bool { return false }

func programsRef(d fleet.Distribution) string { return "holdfast.dev/embedded/kubernetes:" + d.Version }
func pauseRef(d fleet.Distribution) string    { return "holdfast.dev/embedded/pause:" + d.Version }

func (e embeddedDriver) Ensure(ctx context.Context, req Request) (Access, error) {
	d := req.Distribution
	if err := Check(d); err != nil {
		return Access{}, fmt.Errorf("bootstrap %s: %w", req.Host, err)
	}
	for _, ref := range e.Needs(d) {
		if req.Content[ref] == "" {
			return Access{}, fmt.Errorf("bootstrap %s: no digest is locked for %s", req.Host, ref)
		}
	}
	bin, err := unpack(req.Store, req.Dir, "bin", req.Content[programsRef(d)])
	if err != nil {
		return Access{}, fmt.Errorf("bootstrap %s: %w", req.Host, err)
	}
	cfg := embedded.Config{
		Dir: req.Dir, Bin: bin, Host: req.Host, ControlPlane: d.ControlPlane, Log: req.Log,
		PodCIDR: d.PodCIDR, ServiceCIDR: d.ServiceCIDR, APIPort: d.APIPort,
	}
	if !d.ControlPlane {
		cfg.Archive, cfg.Images = req.Store, map[string]string{}
		for ref, digest := range req.Images {
			cfg.Images[ref] = digest
		}
		pause := pauseRef(d)
		cfg.Images[pause] = req.Content[pause]
		cfg.Pause = strings.TrimSuffix(pause, ":"+d.Version) + "@" + req.Content[pause]
	}
	kubeconfig, err := embedded.Ensure(ctx, cfg)
	if err != nil {
		return Access{}, fmt.Errorf("bootstrap %s: %w", req.Host, err)
	}
	access, err := accessBy(kubeconfig)
	return access, errors.Join(err, removeOthers(filepath.Dir(bin), filepath.Base(bin)))
}

func (embeddedDriver) Backup(context.Context, string, string) error {
	return errNoBackups
}

func (embeddedDriver) Stop(ctx context.Context, dir string) error { return embedded.Stop(ctx, dir) }

func (embeddedDriver) Reset(ctx context.Context, dir string) error { return embedded.Reset(ctx, dir) }

// unpack puts the verified files of an artifact into dir/kind/DIGEST. A folder
// of that name is whole, and is only looked at.
func unpack(store *content.Store, dir, kind, digest string) (string, error) {
	algorithm, hex, ok := strings.Cut(digest, ":")
	if !ok || algorithm != "sha256" || len(hex) != 64 || strings.Trim(hex, "0123456789abcdef") != "" {
		return "", fmt.Errorf("%s: %q is not a digest", kind, digest)
	}
	folder := filepath.Join(dir, kind, hex[:16])
	if err := os.MkdirAll(filepath.Dir(folder), 0o700); err != nil {
		return "", err
	}
	if store == nil {
		return "", errors.New(kind + ": no content store")
	}
	if err := store.Extract(digest, folder); err != nil {
		return "", fmt.Errorf("unpack %s: %w", kind, err)
	}
	return folder, nil
}
