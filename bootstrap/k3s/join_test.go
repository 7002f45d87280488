package k3s

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-fleet/holdfast/bootstrap/solo"
	"github.com/holdfast-fleet/holdfast/peers"
)

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
	token := peers.Material{tokenFile: []byte("K10abc::node:secret\n")}
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
			cfg := Config{Dir: dir, Host: "store-042-b", Worker: true, Members: site, Peers: o, Cluster: solo.Cluster{Version: "v1.36.3+k3s1"}}
			err := cfg.mayRun(t.Context(), tt.made)
			require.Equal(t, tt.asks, asked)
			if tt.want != "" {
				require.ErrorContains(t, err, tt.want)
				return
			}
			require.NoError(t, err)
			if tt.made {
				require.NoFileExists(t, filepath.Join(dir, tokenFile))
				return
			}
			info, err := os.Stat(filepath.Join(dir, tokenFile))
			require.NoError(t, err)
			require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
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
		err := Config{Host: "store-042-b", Members: site, Peers: o}.joined(t.Context())
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
	cfg := Config{Dir: t.TempDir(), Host: "store-042-a", Members: site, Peers: others{}}
	require.NoError(t, K3s.mayBegin(t.Context(), cfg), "a worker that is off keeps no server from beginning")
	cfg.Peers = others{known: map[string]peers.Cluster{"store-042-b": {}}}
	require.NoError(t, K3s.mayBegin(t.Context(), cfg), "nor does one that waits to join")
	cfg.Peers = others{known: map[string]peers.Cluster{"store-042-b": {Known: true}}}
	require.ErrorContains(t, K3s.mayBegin(t.Context(), cfg), "store-042-b is part of a cluster, or was")

	require.NoError(t, os.WriteFile(filepath.Join(cfg.Dir, "record.json"), []byte(`{"step":"ready"}`), 0o600))
	require.NoError(t, K3s.mayBegin(t.Context(), cfg), "one that has a cluster keeps it")
}

// TestTokens: agents get one of their own, which there is only where there are any.
func TestTokens(t *testing.T) {
	t.Parallel()
	alone := Config{Dir: t.TempDir(), Host: "store-042-a", Members: site[:1]}
	require.NoError(t, K3s.makeTokens(alone))
	require.FileExists(t, filepath.Join(alone.Dir, tokenFile))
	require.NoFileExists(t, filepath.Join(alone.Dir, agentTokenFile))
	require.NotContains(t, K3s.config(alone, "10.0.0.42"), "agent-token-file")

	several := alone
	several.Members = site
	require.NoError(t, K3s.makeTokens(several))
	server, err := os.ReadFile(filepath.Join(alone.Dir, tokenFile))
	require.NoError(t, err)
	agents, err := os.ReadFile(filepath.Join(alone.Dir, agentTokenFile))
	require.NoError(t, err)
	require.NotEqual(t, server, agents)
	require.Contains(t, K3s.config(alone, "10.0.0.42"), "agent-token-file: "+alone.Dir, "it stays when the site has one host again: nothing restarts")

	several.From = "backup"
	require.ErrorContains(t, K3s.makeTokens(several), "is not made of a backup")

	worker := Config{Dir: t.TempDir(), Host: "store-042-b", Worker: true, Members: site}
	require.NoError(t, K3s.makeTokens(worker))
	require.NoFileExists(t, filepath.Join(worker.Dir, tokenFile), "a worker is given its own")
}

func TestWhatAHostTellsOthers(t *testing.T) {
	t.Parallel()
	l := Local{Family: RKE2, Dir: t.TempDir()}
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
