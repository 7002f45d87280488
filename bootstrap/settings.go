package bootstrap

import (
	"context"
	"fmt"
	"net/netip"
	"path/filepath"

	"github.com/holdfast-fleet/holdfast/bootstrap/settings"
	"github.com/holdfast-fleet/holdfast/bootstrap/system"
)

// keepSettings makes the host itself be as the distribution declares. The units are
// those that use its proxy.
func keepSettings(ctx context.Context, req Request, units ...string) error {
	want := settings.Wanted{Machine: req.Distribution.Machine, Units: units}
	if want.Proxy.Used() {
		var err error
		if want.Direct, err = direct(req); err != nil {
			return err
		}
	}
	if err := settings.Keep(ctx, filepath.Dir(req.Dir), want, req.Log); err != nil {
		return fmt.Errorf("settings of the host: %w", err)
	}
	return nil
}

// direct are the names and networks that a node reaches without a proxy: itself,
// pods, services, its own network, and what other hosts of its site are not in that.
func direct(req Request) ([]string, error) {
	address, err := system.Network(req.self().Network).Find()
	if err != nil {
		return nil, err
	}
	lan := system.LAN(address)
	list := []string{"localhost", "127.0.0.0/8", "::1", ".svc", ".cluster.local", req.Distribution.PodCIDR, req.Distribution.ServiceCIDR, lan}
	near, err := netip.ParsePrefix(lan)
	for _, m := range req.Members {
		if other, bad := netip.ParseAddr(m.Network.Address); bad == nil && (err != nil || !near.Contains(other)) {
			list = append(list, other.String())
		}
	}
	return list, nil
}
