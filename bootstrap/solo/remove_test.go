package solo

import (
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-fleet/holdfast/bootstrap/kubeapi/kubeapitest"
	"github.com/holdfast-fleet/holdfast/bootstrap/site"
)

func TestWhenARemovedWorkerMayLeave(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, answer string
		node         bool // it has a kubelet's credentials
		want         string
	}{
		{"the cluster has its node", "echo node/store-042-b", true, "waits for its cluster to let it go"},
		{"the cluster has let it go", "true", true, ""},
		{"the cluster does not answer", "echo connection refused >&2; exit 1", true, "ask whether the cluster has let this host go"},
		{"it never joined, or was cut off while it was taken apart", "exit 1", false, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			kind := Kind{
				Kubelet: filepath.Join(t.TempDir(), "kubelet.kubeconfig"),
				Kubectl: func(string, string, ...string) []string { return []string{"sh", "-c", tt.answer} },
			}
			if tt.node {
				require.NoError(t, os.WriteFile(kind.Kubelet, nil, 0o600))
			}
			err := mayLeave(t.Context(), kind, "k3s", "store-042-b")
			if tt.want == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, tt.want)
		})
	}
}

// TestAServerStaysWhereNobodyCouldGoOn: what it runs is all that there is of its cluster.
func TestAServerStaysWhereNobodyCouldGoOn(t *testing.T) {
	t.Parallel()
	n := testNode(t)
	require.NoError(t, n.writeRecord(record{Step: stepReady, Cluster: n.Cluster}))
	stays := func(kind Kind, hosts site.Hosts) {
		t.Helper()
		require.ErrorContains(t, Leave(t.Context(), kind, n.Dir, hosts), "no control-plane host is left that could let it go")
		require.FileExists(t, n.recordFile())
	}
	stays(n.Kind, site.Hosts{Host: "store-042-a"})
	stays(n.Kind, site.Hosts{Host: "store-042-a", Members: members[1:]})
}

// TestEtcdKeepsMostOfItsMembers: a server is taken out only if the others can go on.
func TestEtcdKeepsMostOfItsMembers(t *testing.T) {
	t.Parallel()
	const version = "v1.36.3+k3s1"
	three := func(b, c bool) kubeapitest.Nodes {
		return kubeapitest.Nodes{}.And("a", version, true, true).And("b", version, true, b).And("c", version, true, c).And("d", version, false, true)
	}
	require.NoError(t, mayDoWithout(three(true, true), 0))
	require.NoError(t, mayDoWithout(three(false, true), 1), "the one that is down is the one to go")
	require.ErrorContains(t, mayDoWithout(three(false, true), 2), "1 of the 2 servers that would be left are Ready")
	require.NoError(t, mayDoWithout(three(false, false), 3), "a worker is no member")
	require.NoError(t, mayDoWithout(three(true, true)[1:], 1), "one of two")
}

// TestAMemberOfEtcdIsTakenOutByItsAddress, and one that is none is no mistake.
func TestAMemberOfEtcdIsTakenOutByItsAddress(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	program, left := filepath.Join(dir, "k0s"), filepath.Join(dir, "left")
	require.NoError(t, os.WriteFile(program, []byte(`#!/bin/sh
case $2 in
member-list) echo a warning >&2; echo '{"members":{"a":"https://10.0.0.42:2380","c":"https://10.0.0.44:2380"}}' ;;
*) echo "$3" >>`+left+` ;;
esac
`), 0o755))
	kind := Kind{Etcd: &Etcd{
		Members: []string{"etcd", "member-list"},
		Leave:   func(address string) []string { return []string{"etcd", "leave", address} },
	}}
	require.NoError(t, kind.leaveEtcd(t.Context(), program, "10.0.0.44"))
	require.NoError(t, kind.leaveEtcd(t.Context(), program, "10.0.0.4"))
	have, err := os.ReadFile(left)
	require.NoError(t, err)
	require.Equal(t, "10.0.0.44\n", string(have))
}

// TestAServerThatWaitsLetsRemovedHostsGo, for it may wait for one that does not come back.
func TestAServerThatWaitsLetsRemovedHostsGo(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		worker bool
		err    error
		lets   bool
	}{
		{name: "it is what it should be", lets: true},
		{name: "it waits", err: site.Wait("store-042-b is being upgraded just now"), lets: true},
		{name: "it failed", err: errors.New("no space left on device")},
		{name: "it is a worker", worker: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			nodes, mux, gone := kubeapitest.Nodes{}.And("store-042-a", "v1.36.3+k3s1", true, true).And("store-042-b", "v1.36.3+k3s1", false, false), http.NewServeMux(), []string(nil)
			nodes.Handle(mux)
			mux.HandleFunc("DELETE /api/v1/nodes/{name}", func(_ http.ResponseWriter, r *http.Request) { gone = append(gone, r.PathValue("name")) })
			mux.HandleFunc("GET /apis/admissionregistration.k8s.io/v1/", http.NotFound)
			mux.HandleFunc("PATCH /apis/admissionregistration.k8s.io/v1/", func(http.ResponseWriter, *http.Request) {})
			n := testNode(t)
			n.Kubeconfig, n.Cluster.APIPort = kubeapitest.ServeAt(t, "127.0.0.1", mux)
			n.Host, n.Worker, n.Members, n.Removed, n.Peers = "store-042-a", tt.worker, members[:1], []string{"store-042-b"}, others{}
			require.ErrorIs(t, n.tend(t.Context(), tt.err), tt.err)
			require.Equal(t, tt.lets, len(gone) == 1)
		})
	}
}
