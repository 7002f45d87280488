package bootstrap

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/holdfast-fleet/holdfast/bootstrap/containerd"
	"github.com/holdfast-fleet/holdfast/bootstrap/k0s"
	"github.com/holdfast-fleet/holdfast/bootstrap/settings"
	"github.com/holdfast-fleet/holdfast/bootstrap/system"
	"github.com/holdfast-fleet/holdfast/fleet"
)

// k0sDriver runs k0s, see package k0s. The program lies in DIR/bin/DIGEST and
// its images in DIR/images/DIGEST, unpacked once.
type k0sDriver struct{}

func (k0sDriver) Minors() []string { return k0s.Minors() }

// Shares is false: it has no way to join.
func (k0sDriver) Shares() bool { return false }

// SharesControlPlane is false, like Shares.
func (k0sDriver) SharesControlPlane() bool { return false }

func (k0sDriver) Needs(d fleet.Distribution) []string { return soloNeeds(d) }

func (k0sDriver) Ensure(ctx context.Context, req Request) (Access, error) {
	bin, images, err := unpackSolo(ctx, req)
	var registries containerd.Registries
	if err == nil {
		registries, err = registriesOf(req.Distribution.Machine)
	}
	if err == nil {
		err = keepSettings(ctx, req, k0s.Unit)
	}
	if err == nil {
		err = k0s.Ensure(ctx, k0s.Config{
			Dir: req.Dir, Programs: bin, Images: images, Host: req.Host, Network: system.Network(req.self().Network),
			Cluster: soloCluster(req.Distribution), Disable: req.Distribution.Disable,
			Layers: req.Images, Archive: req.Store, Registries: registries, From: req.From, Log: req.Log,
		})
	}
	if err != nil {
		return Access{}, fmt.Errorf("bootstrap %s: %w", req.Host, err)
	}
	return Access{Kubeconfig: k0s.Kubeconfig}, removeOthers(filepath.Dir(bin), filepath.Base(bin))
}

func (k0sDriver) Backup(ctx context.Context, dir, into string) error {
	return k0s.Backup(ctx, dir, into)
}

func (k0sDriver) Stop(ctx context.Context, dir string) error { return k0s.Stop(ctx, dir) }

func (k0sDriver) Reset(ctx context.Context, dir string) error {
	return errors.Join(settings.TakeBack(ctx, filepath.Dir(dir), nil), k0s.Reset(ctx, dir))
}
