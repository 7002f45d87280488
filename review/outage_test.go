package review

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-fleet/holdfast/fleet"
)

func TestWhatAChangeOfSettingsOfHostsCosts(t *testing.T) {
	t.Parallel()
	one := &pair{new: &fleet.Site{Hosts: []*fleet.Host{{Role: fleet.ControlPlane, State: fleet.Active}}}}
	with := func(change func(*fleet.Distribution)) fleet.Distribution {
		d := fleet.Distribution{Type: fleet.Kubeadm, Version: "v1.36.3", Disable: []string{"a"}}
		change(&d)
		return d
	}
	for _, tt := range []struct {
		name   string
		change func(*fleet.Distribution)
		want   string
	}{
		{"a sysctl", func(d *fleet.Distribution) { d.Machine.Sysctls = map[string]string{"vm/swappiness": "10"} }, "nothing of the cluster starts again"},
		{"time servers", func(d *fleet.Distribution) { d.Machine.NTP = []string{"a"} }, "nothing of the cluster starts again"},
		{"a proxy", func(d *fleet.Distribution) { d.Machine.Proxy.HTTP = "http://a" }, "the containers go on"},
		{"mirrors", func(d *fleet.Distribution) { d.Machine.Mirrors = map[string][]string{"*": {"http://a"}} }, "the containers go on"},
		{"a sysctl and the version", func(d *fleet.Distribution) {
			d.Version, d.Machine.Sysctls = "v1.36.4", map[string]string{"vm/swappiness": "10"}
		}, "one node: it does not drain"},
	} {
		require.Contains(t, one.outage(with(func(*fleet.Distribution) {}), with(tt.change), true), tt.want, tt.name)
	}
	same := with(func(*fleet.Distribution) {})
	require.Contains(t, one.outage(same, same, false), "one node: it does not drain", "other content")
}

// TestWhatAnUpgradeCosts depends on who else there is.
func TestWhatAnUpgradeCosts(t *testing.T) {
	t.Parallel()
	hosts := func(roles ...fleet.Role) *fleet.Site {
		s := &fleet.Site{}
		for _, role := range roles {
			s.Hosts = append(s.Hosts, &fleet.Host{Role: role, State: fleet.Active})
		}
		return s
	}
	const c, w = fleet.ControlPlane, fleet.Worker
	for _, tt := range []struct {
		kind string
		site *fleet.Site
		want string
	}{
		{fleet.Kubeadm, hosts(c), "one node: it does not drain; its pods and the API are away while it restarts"},
		{fleet.K3s, hosts(c), "one node: its pods go on; the API is away while it restarts"},
		{fleet.Kubeadm, hosts(c, w), "one control-plane host: the API is away while it restarts; then the workers, 2 at a time"},
		{fleet.K0s, hosts(c, w), "one control-plane host: the API is away while it restarts; then the workers, 2 at a time"},
		{fleet.RKE2, hosts(c, c, c), "the control-plane hosts one after the other; the API stays"},
		{fleet.RKE2, hosts(c, c, c, w), "the control-plane hosts one after the other, then the workers, 2 at a time; the API stays"},
	} {
		require.Equal(t, tt.want, outageOf(tt.site, fleet.Distribution{Type: tt.kind, MaxUnavailable: 2}))
	}
}
