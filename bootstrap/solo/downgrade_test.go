package solo

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-fleet/holdfast/peers"
)

// TestWhenAClusterGoesBack goes through what a host may be, and what commits say.
func TestWhenAClusterGoesBack(t *testing.T) {
	t.Parallel()
	const newer, older, oldest = "v1.36.3+k3s1", "v1.35.9+k3s1", "v1.34.2+k3s1"
	for _, tt := range []struct {
		name    string
		rec     record
		version string
		allowed bool
		kept    string // version whose data is kept
		members int
		worker  bool
		ordered bool // a backup
		from    string
		want    string
	}{
		{name: "it does where a commit allows it", rec: record{Step: stepReady}, version: older, allowed: true, kept: older, from: older},
		{name: "also out of an upgrade that did not end well", rec: record{Step: stepUpgrade}, version: older, allowed: true, kept: older, from: older},
		{name: "what was cut off goes on, whatever commits say by now", rec: record{Step: stepInstall, Back: older}, version: older, kept: older, from: older},
		{name: "but to nothing else", rec: record{Step: stepReady, Back: older}, version: newer, want: "was going back to v1.35.9+k3s1 when that was cut off"},
		{name: "no commit allows it", rec: record{Step: stepReady}, version: older, kept: older, want: "does not go back"},
		{name: "nothing is kept of that version", rec: record{Step: stepReady}, version: oldest, allowed: true, kept: older, want: "nothing is left of what it was with v1.34.2+k3s1"},
		{name: "others would go on with the newer data", rec: record{Step: stepReady}, version: older, allowed: true, kept: older, members: 3, want: "this site has several hosts"},
		{name: "a worker has none", rec: record{Step: stepReady}, version: older, allowed: true, worker: true, want: "this site has several hosts"},
		{name: "it stays", rec: record{Step: stepReady}, version: newer, allowed: true, kept: older},
		{name: "it goes forward", rec: record{Step: stepReady}, version: "v1.37.0+k3s1", kept: older},
		{name: "it never was ready, so there is nothing to lose", rec: record{Step: stepInstall}, version: older},
		{name: "a backup that is ordered counts", rec: record{Step: stepInstall, Back: older}, version: older, ordered: true, from: "ordered"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			n := testNode(t)
			tt.rec.Cluster = n.Cluster
			n.Cluster.Version, n.Downgrade, n.Worker, n.Members = tt.version, tt.allowed, tt.worker, make([]peers.Member, tt.members)
			if tt.kept != "" {
				require.NoError(t, os.MkdirAll(n.before(tt.kept), 0o700))
			}
			if tt.ordered {
				n.From = "ordered"
			}
			err := n.goBack(&tt.rec)
			if tt.want != "" {
				require.ErrorContains(t, err, tt.want)
				var hinted interface{ Hint() string }
				require.ErrorAs(t, err, &hinted)
				require.Empty(t, n.From)
				return
			}
			require.NoError(t, err)
			switch tt.from {
			case "", "ordered":
				require.Equal(t, tt.from, n.From)
			default:
				require.Equal(t, n.before(tt.from), n.From)
				kept, err := n.readRecord()
				if tt.rec.Step != stepInstall {
					require.NoError(t, err)
					require.Equal(t, tt.from, kept.Back, "it goes on with that after a power cut")
				}
			}
		})
	}
}

// TestWhoGoesBackNeverForgetsThat: a host whose data is gone by then would make an empty cluster.
func TestWhoGoesBackNeverForgetsThat(t *testing.T) {
	t.Parallel()
	n := testNode(t)
	n.Afresh = true
	require.NoError(t, n.makeRoom(t.Context(), &record{Back: "v1.35.9+k3s1"}, "10.0.0.42"))
	rec, err := n.readRecord()
	require.NoError(t, err)
	require.Equal(t, stepInstall, rec.Step)
	require.Equal(t, "v1.35.9+k3s1", rec.Back)
}
