package fleet_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-fleet/holdfast/fleet"
)

func TestSelections(t *testing.T) {
	t.Parallel()
	f, err := fleet.Load(edited(grouped(nil)))
	require.NoError(t, err)
	for _, tt := range []struct {
		name string
		by   fleet.Selection
		want []string
	}{
		{"all", fleet.Selection{}, []string{"s1", "s2", "s3", "s4"}},
		{"by profile", fleet.Selection{Profile: "other"}, []string{"s3"}},
		{"by a label of the site", fleet.Selection{Labels: map[string]string{"country": "de"}}, []string{"s1"}},
		{"by a label of the group", fleet.Selection{Labels: map[string]string{"ring": "2"}}, []string{"s1", "s2", "s3"}},
		{"by two labels", fleet.Selection{Labels: map[string]string{"ring": "1", "planet": "mars"}}, []string{"s4"}},
		{"by a group's name", fleet.Selection{Groups: []string{"emea"}}, []string{"s1", "s2", "s3"}},
		{"by a group's folder", fleet.Selection{Groups: []string{"sites/emea/"}, Profile: "shop"}, []string{"s1", "s2"}},
		{"a site is no group", fleet.Selection{Groups: []string{"s1"}}, nil},
		{"by a label that nobody has", fleet.Selection{Labels: map[string]string{"x": ""}}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var got []string
			for _, s := range tt.by.Of(f.Sites) {
				got = append(got, s.Name)
			}
			require.Equal(t, tt.want, got)
		})
	}
}

func TestPercentagesNest(t *testing.T) {
	t.Parallel()
	var sites []*fleet.Site
	for n := range 10_000 {
		name := fmt.Sprintf("site-%d", n)
		sites = append(sites, &fleet.Site{Name: name, Dir: "sites/" + name})
	}
	before := map[*fleet.Site]bool{}
	for _, percent := range []int{1, 5, 20, 50, 99, 100} {
		now := map[*fleet.Site]bool{}
		for _, s := range (fleet.Selection{Percent: percent}).Of(sites) {
			now[s] = true
		}
		for s := range before {
			require.True(t, now[s], "a larger wave holds the smaller")
		}
		require.InDelta(t, percent*100, len(now), 200)
		before = now
	}
	require.Len(t, before, 10_000)
}
