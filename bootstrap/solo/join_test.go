package solo

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-fleet/holdfast/fleet"
	"github.com/holdfast-fleet/holdfast/peers"
)

// site has a server and a worker.
var site = []peers.Member{
	{Name: "store-042-a", Role: fleet.ControlPlane, Network: fleet.Network{Address: "10.0.0.42"}},
	{Name: "store-042-b", Role: fleet.Worker, Network: fleet.Network{Address: "10.0.0.43"}},
}

// others are hosts of a site by what they answer.
type others struct {
	known  map[string]peers.Cluster
	given  peers.Material
	joined *int
}

func (o others) Cluster(_ context.Context, of peers.Member) (peers.Cluster, error) {
	known, ok := o.known[of.Name]
	if !ok {
		return known, errors.New("it is off")
	}
	return known, nil
}

func (o others) Join(context.Context, peers.Member) (peers.Material, error) {
	*o.joined++
	return o.given, nil
}

func TestWhatAWorkerMayRun(t *testing.T) {
	t.Parallel()
	token := peers.Material{TokenFile: []byte("K10abc::node:secret\n")}
	for _, tt := range []struct {
		name   string
		server peers.Cluster
		off    bool
		made   bool
		given  peers.Material
		want   string
		asks   int
	}{
		{name: "it joins a cluster of its version", server: peers.Cluster{Gives: true, Version: "v1.36.3+k3s1"}, given: token, asks: 1},
		{name: "it joins a newer one", server: peers.Cluster{Gives: true, Version: "v1.36.4+k3s1"}, given: token, asks: 1},
		{name: "it follows an upgrade, and needs no token for it", server: peers.Cluster{Gives: true, Version: "v1.36.3+k3s1"}, made: true},
		{name: "the server is older", server: peers.Cluster{Gives: true, Version: "v1.35.9+k3s1"}, made: true, want: "runs v1.35.9+k3s1, and this host is to run v1.36.3+k3s1"},
		{name: "the server is not ready", server: peers.Cluster{Known: true}, want: "runs no cluster that this host could join just now"},
		{name: "the server is off", off: true, want: "join through store-042-a: it is off"},
		{name: "the server gives nothing", server: peers.Cluster{Gives: true, Version: "v1.36.3+k3s1"}, asks: 1, want: "it gave no token"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			asked, dir := 0, t.TempDir()
			o := others{known: map[string]peers.Cluster{"store-042-a": tt.server}, given: tt.given, joined: &asked}
			if tt.off {
				o.known = nil
			}
			n := newNode(Config{Wanted: Wanted{Dir: dir, Host: "store-042-b", Worker: true, Site: Site{Members: site, Peers: o}, Cluster: Cluster{Version: "v1.36.3+k3s1"}}})
			err := n.mayRun(t.Context(), tt.made)
			require.Equal(t, tt.asks, asked)
			if tt.want != "" {
				require.ErrorContains(t, err, tt.want)
				return
			}
			require.NoError(t, err)
			if tt.made {
				require.NoFileExists(t, filepath.Join(dir, TokenFile))
				return
			}
			info, err := os.Stat(filepath.Join(dir, TokenFile))
			require.NoError(t, err)
			require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
		})
	}
}

// TestAWorkerIsGivenATokenUntilItHasJoined: what one was given may have ended before it was used.
func TestAWorkerIsGivenATokenUntilItHasJoined(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		step   step
		joined bool
		asks   int
	}{
		{"it begins", "", false, 1},
		{"its join was cut off", stepInstall, false, 1},
		{"its node was not ready yet", stepInstall, true, 0},
		{"it is part of the cluster", stepReady, true, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			asked, n := 0, testNode(t)
			n.Host, n.Worker, n.Members, n.Kubelet = "store-042-b", true, site, filepath.Join(t.TempDir(), "kubelet.conf")
			n.Peers = others{
				known: map[string]peers.Cluster{"store-042-a": {Gives: true, Version: n.Cluster.Version}},
				given: peers.Material{TokenFile: []byte("another")}, joined: &asked,
			}
			require.NoError(t, os.MkdirAll(n.Archives, 0o755))
			require.NoError(t, os.MkdirAll(n.Dir, 0o755))
			if tt.joined {
				require.NoError(t, os.WriteFile(n.Kubelet, nil, 0o600))
			}
			rec := record{Step: tt.step, Worker: true, Cluster: n.Cluster}
			if tt.step == "" {
				rec = record{}
			}
			_, err := n.begin(t.Context(), rec, "10.0.0.43")
			require.NoError(t, err)
			require.Equal(t, tt.asks, asked)
			require.Equal(t, tt.asks > 0, n.given, "its unit starts again with it")
		})
	}
}

func TestAWorkerHasJoinedOnceItsNodeIsReady(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		nodes []peers.Node
		want  string
	}{
		{nil, "does not have node store-042-b as Ready"},
		{[]peers.Node{{Name: "store-042-a", Ready: true}, {Name: "store-042-b"}}, "does not have node store-042-b as Ready"},
		{[]peers.Node{{Name: "store-042-b", Ready: true}}, ""},
	} {
		o := others{known: map[string]peers.Cluster{"store-042-a": {Gives: true, Nodes: tt.nodes}}}
		err := newNode(Config{Wanted: Wanted{Host: "store-042-b", Site: Site{Members: site, Peers: o}}}).joined(t.Context())
		if tt.want == "" {
			require.NoError(t, err)
			continue
		}
		require.ErrorContains(t, err, tt.want)
	}
}

// TestThereIsOneCluster: a server that was rebuilt does not make another beside that of its workers.
func TestThereIsOneCluster(t *testing.T) {
	t.Parallel()
	n := newNode(Config{Wanted: Wanted{Dir: t.TempDir(), Host: "store-042-a", Site: Site{Members: site, Peers: others{}}}})
	require.NoError(t, n.mayBegin(t.Context(), record{}), "a worker that is off keeps no server from beginning")
	n.Peers = others{known: map[string]peers.Cluster{"store-042-b": {}}}
	require.NoError(t, n.mayBegin(t.Context(), record{}), "nor does one that waits to join")
	n.Peers = others{known: map[string]peers.Cluster{"store-042-b": {Known: true}}}
	require.ErrorContains(t, n.mayBegin(t.Context(), record{}), "store-042-b is part of a cluster, or was")

	require.NoError(t, n.mayBegin(t.Context(), record{Step: stepReady}), "one that has a cluster keeps it")

	n.From = "backup"
	for _, rec := range []record{{}, {Step: stepReady}} {
		require.ErrorContains(t, n.mayBegin(t.Context(), rec), "is not made of a backup", "whatever it was before")
	}
	n.Members = site[:1]
	require.NoError(t, n.mayBegin(t.Context(), record{}), "the others were taken out")
}

func TestWhatAHostTellsOthers(t *testing.T) {
	t.Parallel()
	l := Local{Kind: Kind{Name: "rke2"}, Dir: t.TempDir()}
	known, err := l.Cluster(t.Context())
	require.NoError(t, err)
	require.Equal(t, peers.Cluster{}, known)
	_, err = l.Give(t.Context(), peers.Member{Name: "store-042-c", Role: "control-plane"})
	require.ErrorContains(t, err, "clusters of type rke2 have one host of the control plane")

	for _, record := range []string{`{"step":"install"}`, `{"step":"upgrade"}`, `{"step":"ready","worker":true}`} {
		require.NoError(t, os.WriteFile(filepath.Join(l.Dir, "record.json"), []byte(record), 0o600))
		known, err = l.Cluster(t.Context())
		require.NoError(t, err)
		require.Equal(t, peers.Cluster{Known: true}, known, record)
		_, err = l.Give(t.Context(), site[1])
		require.ErrorIs(t, err, errNotReady, record)
	}
	require.Error(t, l.Away(t.Context(), site[1]))
	require.Error(t, l.Back(t.Context(), site[1]))
	require.Error(t, l.LetGo(t.Context(), site[1]))
}
