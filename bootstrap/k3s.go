package bootstrap

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/holdfast-fleet/holdfast/bootstrap/containerd"
	"github.com/holdfast-fleet/holdfast/bootstrap/k3s"
	"github.com/holdfast-fleet/holdfast/bootstrap/settings"
	"github.com/holdfast-fleet/holdfast/bootstrap/solo"
	"github.com/holdfast-fleet/holdfast/bootstrap/system"
	"github.com/holdfast-fleet/holdfast/fleet"
)

// k3sDriver runs k3s and what is made of it, see package k3s. The program lies
// in DIR/bin/DIGEST and its images in DIR/images/DIGEST, unpacked once.
type k3sDriver struct{ k3s.Family }

func (k3sDriver) Minors() []string { return k3s.Minors() }

func (k k3sDriver) Needs(d fleet.Distribution) []string { return soloNeeds(d) }

// Shares is true: workers join the cluster of their site, see package peers.
func (k3sDriver) Shares() bool { return true }

// SharesControlPlane is false: one server makes the cluster.
func (k3sDriver) SharesControlPlane() bool { return false }

func (k k3sDriver) Ensure(ctx context.Context, req Request) (Access, error) {
	bin, images, err := unpackSolo(ctx, req)
	worker := req.self().Role == fleet.Worker
	var registries containerd.Registries
	if err == nil {
		registries, err = registriesOf(req.Distribution.Machine)
	}
	if err == nil {
		err = keepSettings(ctx, req, k.Unit(worker))
	}
	if err == nil {
		err = k.Family.Ensure(ctx, k3s.Config{
			Dir: req.Dir, Programs: bin, Images: images, Host: req.Host, Worker: worker,
			Site: solo.Site{Members: req.Members, Removed: req.Removed, Peers: req.Peers}, Network: system.Network(req.self().Network),
			Cluster: soloCluster(req.Distribution), Disable: req.Distribution.Disable,
			Layers: req.Images, Archive: req.Store, Registries: registries, From: req.From, Log: req.Log,
		})
	}
	if err != nil {
		return Access{}, fmt.Errorf("bootstrap %s: %w", req.Host, err)
	}
	if worker { // what it may do in its cluster is its kubelet's
		return Access{}, removeOthers(filepath.Dir(bin), filepath.Base(bin))
	}
	return Access{Kubeconfig: k.Kubeconfig()}, removeOthers(filepath.Dir(bin), filepath.Base(bin))
}

// Leave takes a removed host apart, once its cluster has let it go.
func (k k3sDriver) Leave(ctx context.Context, req Request) error {
	if err := k.Family.Leave(ctx, req.Dir, req.Host); err != nil {
		return err
	}
	return settings.TakeBack(ctx, filepath.Dir(req.Dir), req.Log)
}

func (k k3sDriver) Reset(ctx context.Context, dir string) error {
	return errors.Join(settings.TakeBack(ctx, filepath.Dir(dir), nil), k.Family.Reset(ctx, dir))
}

// soloNeeds are the program and the images of a distribution that is one program.
func soloNeeds(d fleet.Distribution) []string {
	tag := strings.ReplaceAll(d.Version, "+", "-") // which a tag cannot have
	return []string{"holdfast.dev/" + d.Type + "/programs:" + tag, "holdfast.dev/" + d.Type + "/images:" + tag}
}

func soloCluster(d fleet.Distribution) solo.Cluster {
	return solo.Cluster{Version: d.Version, PodCIDR: d.PodCIDR, ServiceCIDR: d.ServiceCIDR, APIPort: d.APIPort}
}

// unpackSolo checks a request, and the host, before anything there changes, and unpacks the content for it.
func unpackSolo(ctx context.Context, req Request) (programs, images string, err error) {
	if err := Check(req.Distribution); err != nil {
		return "", "", err
	}
	if err := CheckHosts(req.Distribution, len(req.Members), servers(req.Members)); err != nil {
		return "", "", err
	}
	needs := soloNeeds(req.Distribution)
	for _, ref := range needs {
		if req.Content[ref] == "" {
			return "", "", fmt.Errorf("no digest is locked for %s", ref)
		}
	}
	if err := fit(ctx, req); err != nil {
		return "", "", err
	}
	if programs, err = unpack(req.Store, req.Dir, "bin", req.Content[needs[0]]); err != nil {
		return "", "", err
	}
	images, err = unpack(req.Store, req.Dir, "images", req.Content[needs[1]])
	return programs, images, err
}
