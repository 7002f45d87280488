package bootstrap

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/holdfast-fleet/holdfast/bootstrap/settings"
	"github.com/holdfast-fleet/holdfast/bootstrap/site"
	"github.com/holdfast-fleet/holdfast/bootstrap/solo"
	"github.com/holdfast-fleet/holdfast/bootstrap/system"
	"github.com/holdfast-fleet/holdfast/fleet"
)

// soloProgram is a distribution that is one program: k3s, RKE2 or k0s.
type soloProgram interface {
	Minors() []string
	Kind(dir string) solo.Kind
	Ensure(ctx context.Context, want solo.Wanted) error
}

// soloDriver runs one of them, see package solo. The program lies in DIR/bin/DIGEST
// and its images in DIR/images/DIGEST, unpacked once.
type soloDriver struct{ soloProgram }

func (soloDriver) Needs(d fleet.Distribution) []string { return soloNeeds(d) }

// Shares is true: hosts join the cluster of their site, see package peers.
func (soloDriver) Shares() bool { return true }

func (s soloDriver) Ensure(ctx context.Context, req Request) (Access, error) {
	kind, worker := s.Kind(req.Dir), req.self().Role == fleet.Worker
	bin, err := s.bring(ctx, kind, req, worker)
	if err != nil {
		return Access{}, fmt.Errorf("bootstrap %s: %w", req.Host, err)
	}
	access := Access{Kubeconfig: kind.Kubeconfig}
	if worker { // what it may do in its cluster is its kubelet's
		access = Access{}
	}
	return access, removeOthers(filepath.Dir(bin), filepath.Base(bin))
}

// bring makes the host what it should be, and returns the folder of its program.
func (s soloDriver) bring(ctx context.Context, kind solo.Kind, req Request, worker bool) (bin string, err error) {
	if err := maySolo(ctx, req); err != nil {
		return "", err
	}
	d := req.Distribution
	want := solo.Wanted{
		Dir: req.Dir, Host: req.Host, Worker: worker,
		Site: solo.Site{Members: req.Members, Removed: req.Removed, Peers: req.Peers}, Network: system.Network(req.self().Network),
		Cluster: solo.Cluster{Version: d.Version, PodCIDR: d.PodCIDR, ServiceCIDR: d.ServiceCIDR, APIPort: d.APIPort},
		Disable: d.Disable, MaxUnavailable: d.MaxUnavailable, Layers: req.Images, Archive: req.Store, From: req.From, Downgrade: slices.Contains(req.Downgrades, d.Version),
		Anew: req.Anew, Log: req.Log,
	}
	if err := solo.ChangeRole(ctx, kind, want); err != nil {
		return "", err
	}
	needs := soloNeeds(d)
	if bin, err = unpack(req.Store, req.Dir, "bin", req.Content[needs[0]]); err != nil {
		return "", err
	}
	want.Program = filepath.Join(bin, kind.Name)
	if want.Archives, err = unpack(req.Store, req.Dir, "images", req.Content[needs[1]]); err != nil {
		return "", err
	}
	if want.Registries, err = registriesOf(d.Machine); err != nil {
		return "", err
	}
	if err := keepSettings(ctx, req, kind.UnitOf(worker)); err != nil {
		return "", err
	}
	return bin, s.soloProgram.Ensure(ctx, want)
}

func (s soloDriver) Backup(ctx context.Context, dir, into string) error {
	return solo.Backup(ctx, s.Kind(dir), dir, into)
}

// Leave takes a removed host apart, once its cluster has let it go.
func (s soloDriver) Leave(ctx context.Context, req Request) error {
	if err := solo.Leave(ctx, s.Kind(req.Dir), req.Dir, site.Hosts{Host: req.Host, Members: req.Members}); err != nil {
		return err
	}
	return settings.TakeBack(ctx, filepath.Dir(req.Dir), req.Log)
}

func (s soloDriver) Stop(ctx context.Context, dir string) error {
	return solo.Stop(ctx, s.Kind(dir), dir)
}

func (s soloDriver) Reset(ctx context.Context, dir string) error {
	return errors.Join(settings.TakeBack(ctx, filepath.Dir(dir), nil), solo.Reset(ctx, s.Kind(dir), dir))
}

// soloNeeds are the program and the images of a distribution that is one program.
func soloNeeds(d fleet.Distribution) []string {
	tag := strings.ReplaceAll(d.Version, "+", "-") // which a tag cannot have
	return []string{"holdfast.dev/" + d.Type + "/programs:" + tag, "holdfast.dev/" + d.Type + "/images:" + tag}
}

// maySolo checks a request, and the host, before anything there changes.
func maySolo(ctx context.Context, req Request) error {
	if err := Check(req.Distribution); err != nil {
		return err
	}
	if err := CheckHosts(req.Distribution, len(req.Members)); err != nil {
		return err
	}
	for _, ref := range soloNeeds(req.Distribution) {
		if req.Content[ref] == "" {
			return fmt.Errorf("no digest is locked for %s", ref)
		}
	}
	return fit(ctx, req)
}
