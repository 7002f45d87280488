package solo

import (
	"context"
	"io"
	"net/http"
	"os"
	"path/filepath"
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
		anew    bool
		why     string
		told    []string
		isAway  bool
		want    string
	}{
		{name: "its pods move", servers: newer, told: []string{"away"}, isAway: true},
		{name: "it was cut off", servers: newer, away: true, told: []string{"away"}, isAway: true},
		{name: "somebody ordered it", servers: newer, away: true, anew: true, told: []string{"away anew"}, isAway: true},
		{name: "it is another's turn", servers: newer, why: "d away or not Ready, and maxUnavailable is 1", told: []string{"away"}, isAway: true, want: "upgrade from v1.36.3+k3s1 to v1.37.1+k3s1 waits"},
		{name: "a server goes first", servers: older, want: "this host is to run v1.37.1+k3s1"},
		{name: "also where Kubernetes stays", servers: "v1.37.1+k3s2", want: "runs v1.37.1+k3s2, and this host is to run v1.37.1+k3s1"},
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
			n.Host, n.Worker, n.Members, n.Peers, n.Cluster.Version, n.Anew = "store-042-b", true, members, o, newer, tt.anew
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

// TestPodsMoveBeforeAHostStartsAgain: those of a worker, which asks for it, and of the only
// server. They come again once it is there, and nobody is away from a cluster that was restored.
func TestPodsMoveBeforeAHostStartsAgain(t *testing.T) {
	t.Parallel()
	nodes, mux, away := kubeapitest.Nodes{}.And("store-042-a", "v1.36.3+k3s1", true, true).And("store-042-b", "v1.36.3+k3s1", false, true).And("store-099-a", "v1.36.3+k3s1", false, false), http.NewServeMux(), ""
	nodes.Handle(mux)
	mux.HandleFunc("GET /readyz", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("DELETE /api/v1/nodes/store-099-a", func(http.ResponseWriter, *http.Request) { nodes = nodes[:2] })
	mux.HandleFunc("GET /api/v1/namespaces/kube-system/configmaps/holdfast-upgrade", func(w http.ResponseWriter, r *http.Request) {
		if away == "" {
			http.NotFound(w, r)
			return
		}
		_, _ = io.WriteString(w, away)
	})
	write := func(_ http.ResponseWriter, r *http.Request) {
		data, _ := io.ReadAll(r.Body)
		away = string(data)
	}
	mux.HandleFunc("POST /api/v1/namespaces/kube-system/configmaps", write)
	mux.HandleFunc("PUT /api/v1/namespaces/kube-system/configmaps/holdfast-upgrade", write)

	n, said := testNode(t), filepath.Join(t.TempDir(), "said")
	n.Kubeconfig, n.Cluster.APIPort = kubeapitest.ServeAt(t, "127.0.0.1", mux)
	n.Host, n.Members, n.Peers = "store-042-a", members, others{}
	stays := filepath.Join(t.TempDir(), "stays")
	n.Kubectl = func(_, _ string, words ...string) []string {
		return []string{"sh", "-c", `echo "$1 $2" >>"$0"; [ "$1" != drain ] || ! [ -e "$3" ]`, said, words[0], words[1], stays}
	}
	did := func(want string) {
		t.Helper()
		data, err := os.ReadFile(said)
		require.NoError(t, err)
		require.Equal(t, want+"\n", string(data))
		require.NoError(t, os.Remove(said))
	}
	rec := record{Step: stepReady, Cluster: n.Cluster, MaxUnavailable: 2}
	require.NoError(t, n.writeRecord(rec))
	l := &Local{Kind: n.Kind, Dir: n.Dir}
	require.NoError(t, os.WriteFile(stays, nil, 0o600))
	require.ErrorContains(t, l.Away(t.Context(), members[1], false), "its pods did not move within 2m0s")
	did("drain store-042-b\nuncordon store-042-b")
	require.NoError(t, os.Remove(stays))
	require.ErrorContains(t, l.Away(t.Context(), members[1], false), "tried again at ")
	require.NoError(t, l.Away(t.Context(), members[1], true), "somebody ordered it")
	did("drain store-042-b")
	require.Contains(t, away, `"store-042-b":"v1.36.3+k3s1"`)

	n.Cluster.Version = "v1.37.1+k3s1"
	require.ErrorContains(t, n.leave(t.Context(), &rec), "store-042-b is being upgraded just now")
	require.NoError(t, l.Back(t.Context(), members[1]))
	did("uncordon store-042-b")
	require.NoError(t, n.leave(t.Context(), &rec))
	ctx, newer := context.WithCancel(t.Context())
	newer()
	require.ErrorIs(t, n.moveAway(ctx, &rec), context.Canceled)
	require.Nil(t, rec.Stuck, "it was cut off, not its pods that stayed")
	require.NoError(t, os.WriteFile(stays, nil, 0o600))
	require.ErrorContains(t, n.moveAway(t.Context(), &rec), "its pods did not move within 2m0s")
	did("drain store-042-a\nuncordon store-042-a")
	rec, err := n.readRecord()
	require.NoError(t, err)
	require.ErrorContains(t, n.leave(t.Context(), &rec), "its pods did not move within 2m0s", "each try costs those that do")
	n.Anew = true
	require.NoError(t, n.leave(t.Context(), &rec), "somebody ordered it")
	n.Anew = false
	rec.Stuck.At = time.Now().Add(-time.Hour)
	require.NoError(t, os.Remove(stays))
	require.NoError(t, n.leave(t.Context(), &rec))
	require.NoError(t, n.moveAway(t.Context(), &rec))
	did("drain store-042-a")
	require.NoError(t, n.back(t.Context(), &rec))
	did("uncordon store-042-a")
	require.False(t, rec.Away)

	away = `{"data": {"store-042-b": "v1.36.3+k3s1", "store-099-a": "v1.36.3+k3s1"}}`
	require.NoError(t, n.dropStrangers(t.Context()))
	did("uncordon store-042-b")
	require.NotContains(t, away, "store")
	require.Len(t, nodes, 2)
}
