package solo

import (
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-fleet/holdfast/bootstrap/kubeapi"
	"github.com/holdfast-fleet/holdfast/bootstrap/kubeapi/kubeapitest"
	"github.com/holdfast-fleet/holdfast/fleet"
	"github.com/holdfast-fleet/holdfast/peers"
)

// TestAHostStaysWhatItIsUntilItIsLetGo goes through why a role does not change.
func TestAHostStaysWhatItIsUntilItIsLetGo(t *testing.T) {
	t.Parallel()
	whole := peers.Cluster{Known: true, Gives: true, Version: "v1.36.3+k3s1"}
	older := peers.Cluster{Known: true, Gives: true, Version: "v1.35.9+k3s1"}
	for _, tt := range []struct {
		name  string
		rec   record
		known peers.Cluster
		want  string
	}{
		{"it is nothing yet", record{}, whole, ""},
		{"it has the role already", record{Step: stepReady, Worker: true}, whole, ""},
		{"the other is off", record{Step: stepReady}, peers.Cluster{}, "no host of the control plane answers"},
		{"the cluster is of another version, so it could not come back", record{Step: stepReady}, older, "store-042-c runs v1.35.9+k3s1, and this host is to join with v1.36.3+k3s1"},
		{"the other does not let it go", record{Step: stepUpgrade}, whole, "store-042-c: etcd needs most of them"},
		{"it may be in etcd, and no node yet", record{Step: stepInstall, Through: "10.0.0.44"}, whole, "has changed while it was becoming a server"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			n := testNode(t)
			n.Host, n.Worker, n.Cluster.Version = "store-042-b", true, "v1.36.3+k3s1"
			n.Members = append(slices.Clone(members[1:]), peers.Member{Name: "store-042-c", Role: fleet.ControlPlane})
			o := others{known: map[string]peers.Cluster{"store-042-c": tt.known}, why: "etcd needs most of them"}
			if !tt.known.Known {
				o.known = nil
			}
			n.Peers = o
			if tt.rec.Step != "" {
				require.NoError(t, n.writeRecord(tt.rec))
			}
			err := ChangeRole(t.Context(), n.Kind, n.Wanted)
			rec, readErr := n.readRecord()
			require.NoError(t, readErr)
			require.Equal(t, tt.rec, rec)
			if tt.want == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, "the role of this host has changed")
			require.ErrorContains(t, err, tt.want)
			var hinted interface{ Hint() string }
			require.ErrorAs(t, err, &hinted)
			require.Contains(t, hinted.Hint(), "set the role back")
		})
	}
}

// TestAServerLetsAHostGo whose role is another: its pods move, then its node is removed.
func TestAServerLetsAHostGo(t *testing.T) {
	t.Parallel()
	worker := peers.Member{Name: "store-042-b", Role: fleet.Worker}
	for _, tt := range []struct {
		name   string
		nodes  kubeapitest.Nodes
		who    peers.Member
		back   string   // version that it goes back to
		fails  string   // a command that does
		called []string // commands
		left   []string // nodes
		want   string
	}{
		{
			name: "a server becomes a worker", who: worker, called: []string{"drain store-042-b"}, left: []string{"store-042-a", "store-042-c"},
			nodes: kubeapitest.Nodes{}.And("store-042-a", "v1.36.3+k3s1", true, true).And("store-042-b", "v1.36.3+k3s1", true, true).And("store-042-c", "v1.36.3+k3s1", true, true),
		},
		{
			name: "a worker that is off", who: peers.Member{Name: "store-042-b", Role: fleet.ControlPlane}, left: []string{"store-042-a"},
			nodes: kubeapitest.Nodes{}.And("store-042-a", "v1.36.3+k3s1", true, true).And("store-042-b", "v1.36.3+k3s1", false, false),
		},
		{
			name: "its pods do not move", who: worker, fails: "drain", called: []string{"drain store-042-b", "uncordon store-042-b"}, left: []string{"store-042-a", "store-042-b"},
			nodes: kubeapitest.Nodes{}.And("store-042-a", "v1.36.3+k3s1", true, true).And("store-042-b", "v1.36.3+k3s1", true, true), want: "its pods did not move within 2m0s",
		},
		{
			name: "etcd would have too few members", who: worker, left: []string{"store-042-a", "store-042-b", "store-042-c"},
			nodes: kubeapitest.Nodes{}.And("store-042-a", "v1.36.3+k3s1", true, true).And("store-042-b", "v1.36.3+k3s1", true, true).And("store-042-c", "v1.36.3+k3s1", true, false),
			want:  "1 of the 2 servers that would be left are Ready",
		},
		{
			name: "it is what the fleet says, as far as this host knows", who: worker, left: []string{"store-042-b"},
			nodes: kubeapitest.Nodes{}.And("store-042-b", "v1.36.3+k3s1", false, true), want: "the role of store-042-b has not changed",
		},
		{
			name: "one goes back to a version, as this host will", who: peers.Member{Name: "store-042-b", Role: fleet.ControlPlane}, back: "v1.35.9+k3s1", called: []string{"drain store-042-b"}, left: []string{"store-042-a"},
			nodes: kubeapitest.Nodes{}.And("store-042-a", "v1.36.3+k3s1", true, true).And("store-042-b", "v1.36.3+k3s1", true, true),
		},
		{
			name: "or to the one that it is of", who: worker, back: "v1.36.3+k3s1", called: []string{"drain store-042-b"}, left: []string{"store-042-a"},
			nodes: kubeapitest.Nodes{}.And("store-042-a", "v1.36.3+k3s1", true, true).And("store-042-b", "v1.37.1+k3s1", false, true),
		},
		{
			name: "pods that do not move do not keep it", who: worker, back: "v1.35.9+k3s1", fails: "drain", called: []string{"drain store-042-b"}, left: []string{"store-042-a"},
			nodes: kubeapitest.Nodes{}.And("store-042-a", "v1.36.3+k3s1", true, true).And("store-042-b", "v1.36.3+k3s1", false, true),
		},
		{
			name: "this host does not go back as far", who: worker, back: "v1.34.2+k3s1", left: []string{"store-042-b"},
			nodes: kubeapitest.Nodes{}.And("store-042-b", "v1.36.3+k3s1", false, true), want: "the role of store-042-b has not changed",
		},
		{name: "it is gone, and asks once more", who: worker},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			mux := http.NewServeMux()
			tt.nodes.Handle(mux)
			mux.HandleFunc("DELETE /api/v1/nodes/{name}", func(_ http.ResponseWriter, r *http.Request) {
				tt.nodes = slices.DeleteFunc(tt.nodes, func(o kubeapi.Node) bool { return o.Metadata.Name == r.PathValue("name") })
			})
			n, said := testNode(t), filepath.Join(t.TempDir(), "said")
			n.Kubeconfig, n.Cluster.APIPort = kubeapitest.ServeAt(t, "127.0.0.1", mux)
			n.Kubectl = func(_, _ string, words ...string) []string {
				return []string{"sh", "-c", `echo "$1 $2" >>"$0"; [ "$1" != "` + tt.fails + `" ]`, said, words[0], words[1]}
			}
			require.NoError(t, n.writeRecord(record{Step: stepReady, Cluster: n.Cluster, Returns: "v1.35.9+k3s1"}))
			err := (&Local{Kind: n.Kind, Dir: n.Dir}).LetGo(t.Context(), tt.who, tt.back)
			if tt.want == "" {
				require.NoError(t, err)
			} else {
				require.ErrorContains(t, err, tt.want)
			}
			lines, err := os.ReadFile(said)
			require.True(t, err == nil || errors.Is(err, os.ErrNotExist))
			require.ElementsMatch(t, tt.called, slices.DeleteFunc(strings.Split(string(lines), "\n"), func(s string) bool { return s == "" }))
			var left []string
			for _, o := range tt.nodes {
				left = append(left, o.Metadata.Name)
			}
			require.Equal(t, tt.left, left)
		})
	}
}
