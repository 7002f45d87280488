package bootstrap

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/holdfast-fleet/holdfast/bootstrap/kubeadm"
	"github.com/holdfast-fleet/holdfast/bootstrap/settings"
	"github.com/holdfast-fleet/holdfast/bootstrap/system"
	"github.com/holdfast-fleet/holdfast/fleet"
)

// kubeadmDriver runs upstream Kubernetes as kubeadm sets it up, see package kubeadm.
// The programs lie in DIR/bin/DIGEST, unpacked once.
type kubeadmDriver struct{}

func (kubeadmDriver) Minors() []string { return kubeadm.Minors() }

func (kubeadmDriver) Needs(d fleet.Distribution) []string {
	return append([]string{kubeadmPrograms(d)}, kubeadm.Images(clusterOf(d))...)
}

// Shares is true: hosts join the cluster of their site, see package peers.
func (kubeadmDriver) Shares() bool { return true }

func kubeadmPrograms(d fleet.Distribution) string {
	return "holdfast.dev/kubeadm/programs:" + d.Version
}

func clusterOf(d fleet.Distribution) kubeadm.Cluster {
	return kubeadm.Cluster{Version: d.Version, Repository: d.ImageRepository, PodCIDR: d.PodCIDR, ServiceCIDR: d.ServiceCIDR, APIPort: d.APIPort}
}

func (k kubeadmDriver) Ensure(ctx context.Context, req Request) (Access, error) {
	d := req.Distribution
	if err := Check(d); err != nil {
		return Access{}, fmt.Errorf("bootstrap %s: %w", req.Host, err)
	}
	if err := CheckHosts(d, len(req.Members)); err != nil {
		return Access{}, fmt.Errorf("bootstrap %s: %w", req.Host, err)
	}
	cfg := kubeadm.Config{
		Dir: req.Dir, Host: req.Host, Worker: req.self().Role == fleet.Worker, Network: system.Network(req.self().Network),
		Members: req.Members, Removed: req.Removed, Peers: req.Peers, Cluster: clusterOf(d), From: req.From, MaxUnavailable: d.MaxUnavailable,
		Downgrade: slices.Contains(req.Downgrades, d.Version), Anew: req.Anew, Images: map[string]string{}, Archive: req.Store, Log: req.Log,
	}
	for ref, digest := range req.Images {
		cfg.Images[ref] = digest
	}
	for _, ref := range k.Needs(d) {
		if req.Content[ref] == "" {
			return Access{}, fmt.Errorf("bootstrap %s: no digest is locked for %s", req.Host, ref)
		}
	}
	if err := fit(ctx, req); err != nil {
		return Access{}, fmt.Errorf("bootstrap %s: %w", req.Host, err)
	}
	images := kubeadm.Images(cfg.Cluster)
	if cfg.Worker {
		images = kubeadm.WorkerImages(cfg.Cluster)
	}
	for _, ref := range images {
		cfg.Images[ref] = req.Content[ref]
	}
	pause := kubeadm.PauseImage(cfg.Cluster)
	cfg.Pause = pause[:strings.LastIndexByte(pause, ':')] + "@" + req.Content[pause]
	if err := kubeadm.ChangeRole(ctx, cfg); err != nil {
		return Access{}, fmt.Errorf("bootstrap %s: %w", req.Host, err)
	}
	bin, err := unpack(req.Store, req.Dir, "bin", req.Content[kubeadmPrograms(d)])
	if err != nil {
		return Access{}, fmt.Errorf("bootstrap %s: %w", req.Host, err)
	}
	cfg.Bin = bin
	if cfg.Registries, err = registriesOf(d.Machine); err != nil {
		return Access{}, fmt.Errorf("bootstrap %s: %w", req.Host, err)
	}
	if err := keepSettings(ctx, req, "containerd", "kubelet"); err != nil {
		return Access{}, fmt.Errorf("bootstrap %s: %w", req.Host, err)
	}
	if err := kubeadm.Ensure(ctx, cfg); err != nil {
		return Access{}, fmt.Errorf("bootstrap %s: %w", req.Host, err)
	}
	if cfg.Worker { // what it may do in its cluster is its kubelet's
		return Access{}, removeOthers(filepath.Dir(bin), filepath.Base(bin))
	}
	access, err := accessBy(kubeadm.Kubeconfig)
	return access, errors.Join(err, removeOthers(filepath.Dir(bin), filepath.Base(bin)))
}

// Leave takes a removed host apart, once the others have let it go.
func (kubeadmDriver) Leave(ctx context.Context, req Request) error {
	if err := kubeadm.Leave(ctx, kubeadm.Config{Dir: req.Dir, Host: req.Host, Members: req.Members, Log: req.Log}); err != nil {
		return err
	}
	return settings.TakeBack(ctx, filepath.Dir(req.Dir), req.Log)
}

func (kubeadmDriver) Backup(ctx context.Context, dir, into string) error {
	return kubeadm.Backup(ctx, dir, into)
}

func (kubeadmDriver) Stop(ctx context.Context, dir string) error { return kubeadm.Stop(ctx, dir) }

func (kubeadmDriver) Reset(ctx context.Context, dir string) error {
	return errors.Join(settings.TakeBack(ctx, filepath.Dir(dir), nil), kubeadm.Reset(ctx, dir))
}
