package solo

import (
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-fleet/holdfast/bootstrap/kubeapi/kubeapitest"
	"github.com/holdfast-fleet/holdfast/fleet"
	"github.com/holdfast-fleet/holdfast/peers"
)

// TestOneServerAtATime: none starts again while another that is a node is not whole.
func TestOneServerAtATime(t *testing.T) {
	t.Parallel()
	nodes, mux := kubeapitest.Nodes{}.And("store-042-a", "v1.36.3+k3s1", true, true).And("store-042-c", "v1.36.3+k3s1", true, true), http.NewServeMux()
	nodes.Handle(mux)
	server := kubeapitest.Serve(t, mux)
	n := testNode(t)
	n.Host = "store-042-a"
	n.Members = append(slices.Clone(members), peers.Member{Name: "store-042-c", Role: fleet.ControlPlane}, peers.Member{Name: "store-042-e", Role: fleet.ControlPlane})
	n.Peers = others{known: map[string]peers.Cluster{"store-042-c": {Known: true, Gives: true}}}
	require.NoError(t, n.whole(t.Context(), server), "who waits to join with the next version is not waited for")
	n.Peers = others{known: map[string]peers.Cluster{"store-042-c": {Known: true}}}
	require.ErrorContains(t, n.whole(t.Context(), server), "store-042-c of the control plane is not whole just now")
	n.Peers = others{}
	require.ErrorContains(t, n.whole(t.Context(), server), "store-042-c of the control plane is not whole just now")

	rec := record{Step: stepReady, Cluster: n.Cluster}
	n.Members = members
	require.NoError(t, n.leave(t.Context(), &rec), "the only server waits for nobody")
	require.False(t, rec.Away)
}

// TestAServerWithoutItsAPIAsksAnother whether it is its turn.
func TestAServerWithoutItsAPIAsksAnother(t *testing.T) {
	t.Parallel()
	nodes, mux := kubeapitest.Nodes{}.And("store-042-a", "v1.36.3+k3s1", true, false).And("store-042-c", "v1.36.3+k3s1", true, false), http.NewServeMux()
	nodes.Handle(mux)
	mux.HandleFunc("GET /readyz", func(http.ResponseWriter, *http.Request) {})
	n := testNode(t)
	n.Kubeconfig, n.Cluster.APIPort = kubeapitest.ServeAt(t, "127.0.0.2", mux)
	n.Host = "store-042-a"
	n.Members = append(slices.Clone(members), peers.Member{Name: "store-042-c", Role: fleet.ControlPlane, Network: fleet.Network{Address: "127.0.0.2"}})
	n.Peers = others{known: map[string]peers.Cluster{"store-042-c": {Known: true, Gives: true}}}
	rec := record{Step: stepReady}
	require.ErrorContains(t, n.leave(t.Context(), &rec), "store-042-c of the control plane is not Ready")
	require.True(t, rec.Away, "the others may know of it, had the answer been lost")
	begun, err := n.takePart(t.Context(), record{Step: stepReady}, "10.0.0.42")
	require.Error(t, err)
	require.True(t, begun.Away, "or it would never be told that this server is there again")

	n.Kubeconfig += "-lost"
	require.NoError(t, n.leave(t.Context(), &rec), "the program writes it again when it starts")
}

// TestAWorkerFollowsItsServers to another version once all of them run it, and is not away
// before: they would wait for it.
func TestAWorkerFollowsItsServers(t *testing.T) {
	t.Parallel()
	const older, newer = "v1.36.3+k3s1", "v1.37.1+k3s1"
	for _, tt := range []struct {
		name    string
		servers string // version
		off     bool
		away    bool // as it was cut off, or its pods did not move
		why     string
		told    []string
		isAway  bool
		want    string
	}{
		{name: "its pods move", servers: newer, told: []string{"away"}, isAway: true},
		{name: "it was cut off", servers: newer, away: true, told: []string{"away"}, isAway: true},
		{name: "it is another's turn", servers: newer, why: "d away or not Ready, and maxUnavailable is 1", told: []string{"away"}, isAway: true, want: "upgrade from v1.36.3+k3s1 to v1.37.1+k3s1 waits"},
		{name: "a server goes first", servers: older, want: "this host is to run v1.37.1+k3s1"},
		{name: "also where the fleet said yet another version meanwhile", servers: older, away: true, told: []string{"back"}, want: "this host is to run v1.37.1+k3s1"},
		{name: "a server is off", off: true, want: "it is off"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var told []string
			o := others{told: &told, why: tt.why}
			if !tt.off {
				o.known = map[string]peers.Cluster{"store-042-a": {Known: true, Gives: true, Version: tt.servers}}
			}
			n := testNode(t)
			n.Host, n.Worker, n.Members, n.Peers, n.Cluster.Version = "store-042-b", true, members, o, newer
			rec := record{Step: stepReady, Worker: true, Away: tt.away, Cluster: Cluster{Version: older}}
			err := n.follow(t.Context(), &rec)
			require.Equal(t, tt.told, told)
			require.Equal(t, tt.isAway, rec.Away)
			if rec.Away != tt.away {
				written, err := n.readRecord()
				require.NoError(t, err)
				require.Equal(t, rec, written, "or the others would not be told that it is back")
			}
			if tt.want == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, tt.want)
			var often interface{ Poll() time.Duration }
			require.ErrorAs(t, err, &often, "others end this, so it is asked often")
		})
	}
}
