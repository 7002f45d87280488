package kubeadm

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-fleet/holdfast/fleet"
	"github.com/holdfast-fleet/holdfast/peers"
)

// TestWhoMakesTheClusterAndWhoJoins goes through what the hosts of a site may say.
func TestWhoMakesTheClusterAndWhoJoins(t *testing.T) {
	t.Parallel()
	members := []peers.Member{{Name: "a", Role: fleet.Worker}, {Name: "b", Role: fleet.ControlPlane}, {Name: "c", Role: fleet.ControlPlane}, {Name: "d", Role: fleet.ControlPlane}}
	silent := answer{err: errors.New("connection refused")}
	none, known, gives := answer{}, answer{Cluster: peers.Cluster{Known: true}}, answer{Cluster: peers.Cluster{Known: true, Gives: true}}
	for _, tt := range []struct {
		name, host string
		said       map[string]answer
		joins      string // through whom; empty: it makes the cluster
		waits      string // why it does neither
	}{
		{"the first makes it once the others know of none", "b", map[string]answer{"a": none, "c": none, "d": none}, "", ""},
		{"a worker that is off does not keep it from that", "b", map[string]answer{"a": silent, "c": none, "d": none}, "", ""},
		{"one that is off may know of a cluster", "b", map[string]answer{"a": none, "c": none, "d": silent}, "", "d may know of a cluster, and does not answer: connection refused"},
		{"one that was not asked may, too", "b", map[string]answer{"c": none}, "", "d may know of a cluster"},
		{"a first one that was installed again joins", "b", map[string]answer{"a": known, "c": gives, "d": silent}, "c", ""},
		{"it does not make another where one was", "b", map[string]answer{"a": none, "c": known, "d": none}, "", "c is part of a cluster, or was, but none"},
		{"nor where only a worker knows of it", "b", map[string]answer{"a": known, "c": none, "d": none}, "", "a is part of a cluster, or was, but none"},
		{"the second waits for the first", "c", map[string]answer{"a": none, "b": none, "d": none}, "", "b, the first of the control plane, has made no cluster yet"},
		{"also if that is off", "c", map[string]answer{"a": none, "b": silent, "d": none}, "", "b, the first of the control plane, has made no cluster yet: connection refused"},
		{"the second joins the first", "c", map[string]answer{"b": gives, "d": none}, "b", ""},
		{"or the third, if the first is off", "c", map[string]answer{"b": silent, "d": gives}, "d", ""},
		{"a worker joins", "a", map[string]answer{"b": none, "c": gives, "d": silent}, "c", ""},
		{"a worker never makes it", "a", map[string]answer{"b": none, "c": none, "d": none}, "", "b, the first of the control plane, has made no cluster yet"},
		{"a worker lets nobody join", "b", map[string]answer{"a": gives, "c": none, "d": none}, "", "a is part of a cluster, or was, but none"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			through, err := choose(tt.host, members, tt.said)
			switch {
			case tt.waits != "":
				require.ErrorContains(t, err, tt.waits)
				var hinted interface{ Hint() string }
				require.ErrorAs(t, err, &hinted)
				require.NotEmpty(t, hinted.Hint())
			case tt.joins == "":
				require.NoError(t, err)
				require.Nil(t, through)
			default:
				require.NoError(t, err)
				require.Equal(t, tt.joins, through.Name)
			}
		})
	}
}

// TestAClusterThatWasBegunIsTheFirstHostsAlone: who began one and is no longer the first lets go of
// it, or each would wait for the other.
func TestAClusterThatWasBegunIsTheFirstHostsAlone(t *testing.T) {
	t.Parallel()
	n := testNode(t)
	n.Members = []peers.Member{{Name: "a", Role: fleet.Worker}, {Name: "b", Role: fleet.ControlPlane}, {Name: "c", Role: fleet.ControlPlane}}
	for host, letsGo := range map[string]bool{"a": true, "b": false, "c": true} {
		n.Host = host
		require.Equal(t, letsGo, n.isNoLongerFirst(record{Step: stepInit}), host)
		require.False(t, n.isNoLongerFirst(record{Step: stepJoin}), "the next attempt removes what is left of this one")
		require.False(t, n.isNoLongerFirst(record{Step: stepReady}), "a cluster that was ready is never taken apart")
		require.False(t, n.isNoLongerFirst(record{}))
	}
	n.Host, n.From = "c", "a backup"
	require.False(t, n.isNoLongerFirst(record{Step: stepInit}), "people said where it is made again")
	n.Host, n.From, n.Members = "a", "", []peers.Member{{Name: "a", Role: fleet.ControlPlane}}
	require.False(t, n.isNoLongerFirst(record{Step: stepInit}))
}

func TestAHostThatHasDoneNothingKnowsOfNoCluster(t *testing.T) {
	t.Parallel()
	l := &Local{Dir: t.TempDir()}
	known, err := l.Cluster(context.Background())
	require.NoError(t, err)
	require.Equal(t, peers.Cluster{}, known)
	_, err = l.Give(context.Background(), peers.Member{Name: "b", Role: fleet.Worker})
	require.ErrorIs(t, err, errNotReady)

	n := newNode(Config{Dir: l.Dir})
	for _, rec := range []record{{Step: stepInit}, {Step: stepJoin}, {Step: stepReady, Worker: true}} {
		require.NoError(t, n.writeRecord(rec))
		known, err = l.Cluster(context.Background())
		require.NoError(t, err)
		require.Equal(t, peers.Cluster{Known: true}, known, "%+v", rec)
		_, err = l.Give(context.Background(), peers.Member{Name: "b", Role: fleet.Worker})
		require.ErrorIs(t, err, errNotReady)
	}
}

func TestRoutesAreToAddressesAlone(t *testing.T) {
	t.Parallel()
	own, routes := routesOf("a", []peers.Node{
		{Name: "a", Address: "10.0.0.11", Pods: "10.244.0.0/24"},
		{Name: "b", Address: "10.0.0.12", Pods: "10.244.1.0/24"},
		{Name: "c", Address: "10.0.0.13\nlink delete eth0", Pods: "10.244.2.0/24"},
		{Name: "d", Address: "10.0.0.14", Pods: "10.244.3.0/24 via 10.0.0.1"},
		{Name: "e", Address: "10.0.0.15"},
	})
	require.Equal(t, "10.244.0.0/24", own)
	require.Equal(t, map[string]string{"10.244.1.0/24": "10.0.0.12"}, routes)
}

// TestAHostJoinsAClusterOfItsVersion: kubeadm joins with the images of its own.
func TestAHostJoinsAClusterOfItsVersion(t *testing.T) {
	t.Parallel()
	n := testNode(t)
	for version, want := range map[string]string{
		"v1.36.3": "",
		"v1.35.4": "a runs v1.35.4, and this host is to join with v1.36.3",
		"":        "a runs another version just now", // it is being upgraded
	} {
		n.Peers = site{version}
		err := n.mayJoin(t.Context(), peers.Member{Name: "a"})
		if want == "" {
			require.NoError(t, err)
		} else {
			require.ErrorContains(t, err, want)
		}
	}
}

// site is one whose cluster is of a version.
type site struct{ version string }

func (s site) Cluster(context.Context, peers.Member) (peers.Cluster, error) {
	return peers.Cluster{Known: true, Gives: true, Version: s.version}, nil
}
func (site) Join(context.Context, peers.Member) (peers.Material, error) { return nil, nil }
func (site) Away(context.Context, peers.Member) error                   { return nil }
func (site) Back(context.Context, peers.Member) error                   { return nil }
func (site) Leave(context.Context, peers.Member) error                  { return nil }
