package solo

import (
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-fleet/holdfast/bootstrap/kubeapi/kubeapitest"
	"github.com/holdfast-fleet/holdfast/durable"
	"github.com/holdfast-fleet/holdfast/fleet"
	"github.com/holdfast-fleet/holdfast/peers"
)

// TestWhenAClusterGoesBack goes through what a host may be, and what commits say.
func TestWhenAClusterGoesBack(t *testing.T) {
	t.Parallel()
	const newer, older, oldest = "v1.36.3+k3s1", "v1.35.9+k3s1", "v1.34.2+k3s1"
	part, gone := peers.Cluster{Known: true, Gives: true, Version: newer}, peers.Cluster{}
	leads, is := peers.Cluster{Known: true, Gives: true, Version: newer, Kept: []string{older}, Returns: older}, peers.Cluster{Known: true, Gives: true, Version: older}
	for _, tt := range []struct {
		name    string
		rec     record
		version string
		allowed bool
		kept    string                   // version whose data is kept
		others  map[string]peers.Cluster // store-042-b is of the control plane
		worker  bool
		ordered bool // a backup
		from    string
		returns string // what it tells the others
		told    []string
		want    string
	}{
		{name: "it does where a commit allows it", rec: record{Step: stepReady}, version: older, allowed: true, kept: older, from: older},
		{name: "also out of an upgrade that did not end well", rec: record{Step: stepUpgrade}, version: older, allowed: true, kept: older, from: older},
		{name: "what was cut off goes on, whatever commits say by now", rec: record{Step: stepInstall, Back: older}, version: older, kept: older, from: older},
		{name: "but to nothing else", rec: record{Step: stepReady, Back: older}, version: newer, want: "was going back to v1.35.9+k3s1 when that was cut off"},
		{name: "no commit allows it", rec: record{Step: stepReady}, version: older, kept: older, want: "does not go back"},
		{name: "nothing is kept of that version", rec: record{Step: stepReady}, version: oldest, allowed: true, kept: older, want: "nothing is left of what the cluster was with v1.34.2+k3s1"},
		{name: "others have to leave first", rec: record{Step: stepReady}, version: older, allowed: true, kept: older, others: map[string]peers.Cluster{"store-042-b": part}, returns: older, want: "store-042-b has to leave the cluster first"},
		{name: "once they have it goes back", rec: record{Step: stepReady, Returns: older}, version: older, allowed: true, kept: older, others: map[string]peers.Cluster{"store-042-b": gone}, from: older, returns: older},
		{name: "it stays with them", rec: record{Step: stepReady, Returns: older}, version: newer, kept: older, others: map[string]peers.Cluster{"store-042-b": part}},
		{name: "no commit allows it any more", rec: record{Step: stepReady, Returns: older}, version: older, kept: older, others: map[string]peers.Cluster{"store-042-b": part}, want: "does not go back"},
		{name: "another one does, so this one leaves", rec: record{Step: stepReady}, version: older, allowed: true, others: map[string]peers.Cluster{"store-042-b": leads}, told: []string{"leave store-042-b for " + older}, want: "this host has to leave its cluster first: store-042-b: not now"},
		{name: "a worker waits", rec: record{Step: stepReady, Worker: true}, version: older, allowed: true, worker: true, others: map[string]peers.Cluster{"store-042-b": leads}, want: "no host of the control plane runs v1.35.9+k3s1 yet"},
		{name: "until it is back", rec: record{Step: stepReady, Worker: true}, version: older, allowed: true, worker: true, others: map[string]peers.Cluster{"store-042-b": is}, told: []string{"leave store-042-b for " + older}, want: "this host has to leave its cluster first: store-042-b: not now"},
		{name: "it stays", rec: record{Step: stepReady}, version: newer, allowed: true, kept: older},
		{name: "it goes forward", rec: record{Step: stepReady}, version: "v1.37.0+k3s1", kept: older},
		{name: "it never was ready, so there is nothing to lose", rec: record{Step: stepInstall}, version: older},
		{name: "a backup that is ordered counts", rec: record{Step: stepInstall, Back: older}, version: older, ordered: true, from: "ordered"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			n := testNode(t)
			var told []string
			tt.rec.Cluster, n.Host, n.Peers = n.Cluster, "store-042-a", others{known: tt.others, why: "not now", told: &told}
			n.Cluster.Version, n.Downgrade, n.Worker = tt.version, tt.allowed, tt.worker
			n.Members = []peers.Member{{Name: n.Host, Role: fleet.ControlPlane}}
			if tt.worker {
				n.Members[0].Role = fleet.Worker
			}
			for name := range tt.others {
				n.Members = append(n.Members, peers.Member{Name: name, Role: fleet.ControlPlane})
			}
			if tt.kept != "" {
				of := origin{Cluster: Cluster{Version: tt.kept}}
				require.NoError(t, os.MkdirAll(n.before(tt.kept), 0o700))
				require.NoError(t, durable.WriteJSON(filepath.Join(n.before(tt.kept), backupRecord), of))
			}
			if tt.ordered {
				n.From = "ordered"
			}
			err := n.goBack(t.Context(), &tt.rec)
			require.Equal(t, tt.returns, tt.rec.Returns)
			require.Equal(t, tt.told, told)
			kept, readErr := n.readRecord()
			require.NoError(t, readErr)
			if tt.want != "" {
				require.ErrorContains(t, err, tt.want)
				var hinted interface{ Hint() string }
				require.ErrorAs(t, err, &hinted)
				require.Empty(t, n.From)
				require.Equal(t, tt.returns, kept.Returns, "the others know it also after a power cut")
				return
			}
			require.NoError(t, err)
			switch tt.from {
			case "", "ordered":
				require.Equal(t, tt.from, n.From)
			default:
				require.Equal(t, n.before(tt.from), n.From)
				if tt.rec.Step != stepInstall {
					require.Equal(t, tt.from, kept.Back, "it goes on with that after a power cut")
				}
			}
		})
	}
}

// TestNobodyJoinsAClusterThatIsGoingBack: after a power cut it is made once more, without them.
func TestNobodyJoinsAClusterThatIsGoingBack(t *testing.T) {
	t.Parallel()
	mux, nodes := http.NewServeMux(), kubeapitest.Nodes{}.And("store-042-a", "v1.35.9+k3s1", true, true)
	nodes.Handle(mux)
	n := testNode(t)
	n.Kubeconfig, n.Cluster.APIPort = kubeapitest.ServeAt(t, "127.0.0.1", mux)
	require.NoError(t, n.writeRecord(record{Step: stepReady, Cluster: n.Cluster, Back: "v1.35.9+k3s1"}))
	known, err := (&Local{Kind: n.Kind, Dir: n.Dir}).Cluster(t.Context())
	require.NoError(t, err)
	require.Equal(t, peers.Cluster{Known: true}, known)
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
