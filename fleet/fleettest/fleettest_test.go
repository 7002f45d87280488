package fleettest_test

import (
	"fmt"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-fleet/holdfast/fleet"
	"github.com/holdfast-fleet/holdfast/fleet/fleettest"
)

func TestTheFleetLoadsAndHasItsShape(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	require.NoError(t, fleettest.Fleet{Sites: 120}.Write(dir))
	f, err := fleet.Load(os.DirFS(dir))
	require.NoError(t, err)
	require.Len(t, f.Profiles, fleettest.Profiles)
	require.Len(t, f.Sites, 120)
	overlays := 0
	for n, s := range f.Sites {
		require.Equal(t, fleettest.SiteDir(n), s.Dir)
		require.Equal(t, fleettest.ProfileName(fleettest.ProfileOf(n)), s.Profile.Name)
		require.Len(t, s.Hosts, fleettest.HostsOfSite)
		overlays += len(s.Overlays)
		require.Equal(t, fmt.Sprintf("region-%03d.example.com", n/fleettest.SitesOfGroup), s.Variables["DOMAIN"])
	}
	require.Equal(t, 12, overlays)
	of := map[string]int{}
	for _, p := range f.Profiles {
		require.Len(t, p.Layers, fleettest.LayersOfProfile)
		for _, l := range p.Layers {
			of[l.Name]++
		}
	}
	require.Len(t, of, fleettest.Layers)
	require.Equal(t, 8, of[fleettest.LayerName(0)])
	require.Equal(t, 6, of[fleettest.LayerName(1)], "3,000 of 10,000 sites")
}
