package solo

import (
	"net/http"
	"slices"
	"testing"

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
