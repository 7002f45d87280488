package fleet_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-fleet/holdfast/fleet"
)

func TestVersionsFollowEachOther(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, from, to, want string }{
		{"the same", "v1.36.3", "v1.36.3", ""},
		{"a newer patch", "v1.36.3", "v1.36.10", ""},
		{"the next minor version", "v1.35.4", "v1.36.0", ""},
		{"what a distribution adds does not count", "v1.35.4+k3s2", "v1.36.3+k3s1", ""},
		{"a minor version is left out", "v1.34.9", "v1.36.3", "one minor version at a time: from v1.34.9 to v1.35 first"},
		{"another major version", "v1.36.3", "v2.0.0", "one minor version at a time"},
		{"an older minor version", "v1.36.3", "v1.35.4", "does not go back from v1.36.3 to v1.35.4"},
		{"an older patch", "v1.36.3", "v1.36.2", "an older patch of Kubernetes"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			err := fleet.CheckUpgrade(tt.from, tt.to)
			if tt.want == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, tt.want)
			var hint interface{ Hint() string }
			require.ErrorAs(t, err, &hint)
			require.NotEmpty(t, hint.Hint())
		})
	}
}

func TestVersionsAreComparedByNumber(t *testing.T) {
	t.Parallel()
	require.Negative(t, fleet.VersionOf("v1.9.1").Compare(fleet.VersionOf("v1.10.0")))
	require.Positive(t, fleet.VersionOf("v1.36.10").Compare(fleet.VersionOf("v1.36.9")))
	require.Zero(t, fleet.VersionOf("v1.36.3+k3s1").Compare(fleet.VersionOf("v1.36.3+k3s2")))
	require.Zero(t, fleet.VersionOf("latest"))
}
