package solo

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-fleet/holdfast/bootstrap/site"
	"github.com/holdfast-fleet/holdfast/fleet"
	"github.com/holdfast-fleet/holdfast/peers"
)

// members are a server and a worker.
var members = []peers.Member{
	{Name: "store-042-a", Role: fleet.ControlPlane, Network: fleet.Network{Address: "10.0.0.42"}},
	{Name: "store-042-b", Role: fleet.Worker, Network: fleet.Network{Address: "10.0.0.43"}},
}

// others are hosts of a site by what they answer.
type others struct {
	known  map[string]peers.Cluster
	given  peers.Material
	joined *int
	busy   int    // how often they refuse before they give
	why    string // they let nobody go
	told   *[]string
}

func (o others) Cluster(_ context.Context, of peers.Member) (peers.Cluster, error) {
	known, ok := o.known[of.Name]
	if !ok {
		return known, errors.New("it is off")
	}
	return known, nil
}

func (o others) Join(_ context.Context, through peers.Member) (peers.Material, error) {
	if *o.joined++; *o.joined <= o.busy {
		return nil, &peers.RefusedError{Peer: through.Name, Reason: "its old node is being taken out"}
	}
	return o.given, nil
}

func (o others) Leave(_ context.Context, through peers.Member, back string) error {
	if o.told != nil {
		*o.told = append(*o.told, "leave "+through.Name+" for "+back)
	}
	return &peers.RefusedError{Peer: through.Name, Reason: o.why}
}

// Away and Back note what they were told, and let nobody be away if they say why.
func (o others) Away(_ context.Context, through peers.Member, anew bool) error {
	*o.told = append(*o.told, map[bool]string{false: "away", true: "away anew"}[anew])
	if o.why != "" {
		return &peers.RefusedError{Peer: through.Name, Reason: o.why}
	}
	return nil
}

func (o others) Back(context.Context, peers.Member) error {
	*o.told = append(*o.told, "back")
	return nil
}

func TestWhatAWorkerMayRun(t *testing.T) {
	t.Parallel()
	token := peers.Material{TokenFile: []byte("K10abc::node:secret\n")}
	for _, tt := range []struct {
		name   string
		server peers.Cluster
		off    bool
		given  peers.Material
		want   string
		asks   int
	}{
		{name: "it joins a cluster of its version", server: peers.Cluster{Gives: true, Version: "v1.36.3+k3s1"}, given: token, asks: 1},
		{name: "it joins a newer one", server: peers.Cluster{Gives: true, Version: "v1.36.4+k3s1"}, given: token, asks: 1},
		{name: "the server is older", server: peers.Cluster{Gives: true, Version: "v1.35.9+k3s1"}, want: "runs v1.35.9+k3s1, and this host is to run v1.36.3+k3s1"},
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
			n := newNode(Config{Wanted: Wanted{Dir: dir, Host: "store-042-b", Worker: true, Site: Site{Members: members, Peers: o}, Cluster: Cluster{Version: "v1.36.3+k3s1"}}})
			err := n.join(t.Context())
			require.Equal(t, tt.asks, asked)
			if tt.want != "" {
				require.ErrorContains(t, err, tt.want)
				return
			}
			require.NoError(t, err)
			info, err := os.Stat(filepath.Join(dir, TokenFile))
			require.NoError(t, err)
			require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
		})
	}
}

// TestAHostWaitsForItsOldNodeToBeTakenOut before it joins anew, and not for its next try.
func TestAHostWaitsForItsOldNodeToBeTakenOut(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		asked, n := 0, testNode(t)
		n.Peers = others{given: peers.Material{TokenFile: []byte("K10abc::server:secret\n")}, joined: &asked, busy: 2}
		require.NoError(t, n.take(t.Context(), members[0]))
		require.Equal(t, 3, asked)
		require.FileExists(t, filepath.Join(n.Dir, TokenFile))
	})
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
			n.Host, n.Worker, n.Members, n.Kubelet = "store-042-b", true, members, filepath.Join(t.TempDir(), "kubelet.conf")
			n.Peers = others{
				known: map[string]peers.Cluster{"store-042-a": {Gives: true, Version: n.Cluster.Version}},
				given: peers.Material{TokenFile: []byte("another")}, joined: &asked,
			}
			n.Files = func(string, string) map[string]string { return nil }
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
		err := newNode(Config{Wanted: Wanted{Host: "store-042-b", Site: Site{Members: members, Peers: o}}}).joined(t.Context())
		if tt.want == "" {
			require.NoError(t, err)
			continue
		}
		require.ErrorContains(t, err, tt.want)
	}
}

// TestAServerMakesTheClusterOrJoinsIt goes through what the other hosts of its site say.
func TestAServerMakesTheClusterOrJoinsIt(t *testing.T) {
	t.Parallel()
	several := append(slices.Clone(members), peers.Member{Name: "store-042-c", Role: fleet.ControlPlane, Network: fleet.Network{Address: "10.0.0.44"}})
	token := peers.Material{TokenFile: []byte("K10abc::server:secret"), "agent-token": []byte("another")}
	runs := peers.Cluster{Known: true, Gives: true, Version: "v1.36.3+k3s1"}
	for _, tt := range []struct {
		name, host string
		members    []peers.Member
		said       map[string]peers.Cluster
		given      peers.Material
		through    string
		want       string
	}{
		{name: "the only one makes it, also while its worker is off", host: "store-042-a", members: members},
		{name: "or waits to join", host: "store-042-a", members: members, said: map[string]peers.Cluster{"store-042-b": {}}},
		{name: "the first makes it, once the other knows of none", host: "store-042-a", members: several, said: map[string]peers.Cluster{"store-042-c": {}}},
		{name: "the second joins it", host: "store-042-c", members: several, said: map[string]peers.Cluster{"store-042-a": runs}, given: token, through: "10.0.0.42"},
		{name: "a first one that was rebuilt joins it, too", host: "store-042-a", members: several, said: map[string]peers.Cluster{"store-042-c": runs}, given: token, through: "10.0.0.44"},
		{name: "not with another version", host: "store-042-c", members: several, said: map[string]peers.Cluster{"store-042-a": {Known: true, Gives: true, Version: "v1.36.2+k3s1"}},
			want: "store-042-a runs v1.36.2+k3s1, and this host is to join with v1.36.3+k3s1"},
		{name: "nor without what agents join with", host: "store-042-c", members: several, said: map[string]peers.Cluster{"store-042-a": runs},
			given: peers.Material{TokenFile: []byte("K10abc::server:secret")}, want: "join through store-042-a: it gave no agent-token"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			n, asked := testNode(t), 0
			n.Host, n.Members, n.Shared, n.Kubelet = tt.host, tt.members, []string{"agent-token"}, filepath.Join(t.TempDir(), "kubelet.kubeconfig")
			n.Peers = others{known: tt.said, given: tt.given, joined: &asked}
			err := n.join(t.Context())
			if tt.want != "" {
				require.ErrorContains(t, err, tt.want)
				return
			}
			require.NoError(t, err)
			require.Equal(t, tt.through, n.through)
			require.Equal(t, tt.through != "", n.given)
			for name, data := range tt.given {
				have, err := os.ReadFile(filepath.Join(n.Dir, name))
				require.NoError(t, err)
				require.Equal(t, data, have)
			}
		})
	}
}

// TestWhatWasCutOffBecomesSomethingElse: it begins anew, with nothing of before.
func TestWhatWasCutOffBecomesSomethingElse(t *testing.T) {
	t.Parallel()
	n := testNode(t)
	n.Host, n.Members = "store-042-c", append(slices.Clone(members), peers.Member{Name: "store-042-c", Role: fleet.ControlPlane})
	require.True(t, n.isNoLongerFirst(record{Step: stepInstall}), "it began a cluster that is another's to make")
	require.False(t, n.isNoLongerFirst(record{Step: stepInstall, Through: "10.0.0.42"}), "it joins")
	require.False(t, n.isNoLongerFirst(record{Step: stepInstall, Worker: true}))
	require.False(t, n.isNoLongerFirst(record{Step: stepReady}), "a cluster that was ready is never taken apart")
	n.Host = "store-042-a"
	require.False(t, n.isNoLongerFirst(record{Step: stepInstall}))
}

// TestAWorkerFindsItsClusterAtAnotherServer once that which it joined by is gone.
func TestAWorkerFindsItsClusterAtAnotherServer(t *testing.T) {
	t.Parallel()
	n := testNode(t)
	n.Host, n.Worker, n.Members = "store-042-b", true, members
	require.Equal(t, "10.0.0.42", n.joinedBy(record{}), "one that joined before this was recorded")
	require.Equal(t, "10.0.0.42", n.joinedBy(record{Through: "10.0.0.42"}))
	require.Equal(t, "10.0.0.42", n.joinedBy(record{Through: "10.0.0.44"}))
	n.Members = append(slices.Clone(members), peers.Member{Name: "store-042-c", Role: fleet.ControlPlane, Network: fleet.Network{Address: "10.0.0.44"}})
	require.Equal(t, "10.0.0.44", n.joinedBy(record{Through: "10.0.0.44"}))
	n.Host, n.Worker = "store-042-c", false
	require.Equal(t, "10.0.0.45", n.joinedBy(record{Through: "10.0.0.45"}), "a server restarts for that no more")
}

func TestWhatAHostTellsOthers(t *testing.T) {
	t.Parallel()
	l := Local{Kind: Kind{Name: "k0s"}, Dir: t.TempDir()}
	known, err := l.Cluster(t.Context())
	require.NoError(t, err)
	require.Equal(t, peers.Cluster{}, known)

	for _, record := range []string{`{"step":"install"}`, `{"step":"upgrade"}`, `{"step":"ready","worker":true}`} {
		require.NoError(t, os.WriteFile(filepath.Join(l.Dir, "record.json"), []byte(record), 0o600))
		known, err = l.Cluster(t.Context())
		require.NoError(t, err)
		require.Equal(t, peers.Cluster{Known: true}, known, record)
		_, err = l.Give(t.Context(), members[1])
		require.ErrorIs(t, err, site.ErrNotReady, record)
		require.EqualError(t, l.LetGo(t.Context(), members[1], ""), site.ErrNotReady.Error(), record)
	}
	require.Error(t, l.Away(t.Context(), members[1], false))
	require.Error(t, l.Back(t.Context(), members[1]))
}
