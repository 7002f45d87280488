package site

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-fleet/holdfast/bootstrap/kubeapi/kubeapitest"
	"github.com/holdfast-fleet/holdfast/fleet"
	"github.com/holdfast-fleet/holdfast/peers"
)

// TestWhoIsLetGo: the role of a node that goes is another than the fleet's, as who lets it go has the fleet.
func TestWhoIsLetGo(t *testing.T) {
	t.Parallel()
	nodes := kubeapitest.Nodes{}.And("a", "v1.36.3", true, true).And("b", "v1.36.3", false, true)
	for _, tt := range []struct {
		name, host string
		role       fleet.Role
		goesBack   bool
		node       int
		refused    string
	}{
		{name: "a control plane becomes a worker", host: "a", role: fleet.Worker, node: 0},
		{name: "a worker becomes a control plane", host: "b", role: fleet.ControlPlane, node: 1},
		{name: "one that is gone already asks once more", host: "d", role: fleet.Worker, node: -1},
		{name: "one that goes back to a version, as the cluster does", host: "a", role: fleet.ControlPlane, goesBack: true, node: 0},
		{name: "a worker that stays one", host: "b", role: fleet.Worker, refused: "the role of b has not changed, as far as this host knows"},
		{name: "a control plane that stays one", host: "a", role: fleet.ControlPlane, refused: "the role of a has not changed"},
	} {
		node, err := MayBeLetGo(nodes, peers.Member{Name: tt.host, Role: tt.role}, tt.goesBack)
		if tt.refused != "" {
			require.ErrorContains(t, err, tt.refused, tt.name)
			continue
		}
		require.NoError(t, err, tt.name)
		require.Equal(t, tt.node, node, tt.name)
	}
}

// TestOneServerThatAnswersIsTold, and its answer is taken.
func TestOneServerThatAnswersIsTold(t *testing.T) {
	t.Parallel()
	hosts := Hosts{Host: "a", Members: []peers.Member{
		{Name: "a", Role: fleet.ControlPlane}, {Name: "b", Role: fleet.Worker}, {Name: "c", Role: fleet.ControlPlane}, {Name: "d", Role: fleet.ControlPlane},
	}}
	for _, tt := range []struct {
		name  string
		says  map[string]error
		asked []string
		want  string
	}{
		{"the first does it", nil, []string{"c"}, ""},
		{"one that is off", map[string]error{"c": errors.New("no route to host")}, []string{"c", "d"}, ""},
		{"one that is no node yet", map[string]error{"c": &peers.RefusedError{Peer: "c", Reason: ErrNotReady.Error()}}, []string{"c", "d"}, ""},
		{"one that refuses", map[string]error{"c": &peers.RefusedError{Peer: "c", Reason: "etcd has too few members"}}, []string{"c"}, "c: etcd has too few members"},
		{"none is there", map[string]error{"c": errors.New("no route to host"), "d": errors.New("it is off")}, []string{"c", "d"}, "no host of the control plane answers\nno route to host\nit is off"},
	} {
		var asked []string
		err := hosts.Tell(t.Context(), func(_ context.Context, m peers.Member) error {
			asked = append(asked, m.Name)
			return tt.says[m.Name]
		})
		require.Equal(t, tt.asked, asked, tt.name)
		if tt.want == "" {
			require.NoError(t, err, tt.name)
			continue
		}
		require.EqualError(t, err, tt.want, tt.name)
	}
}

// one is a site whose hosts all answer the same.
type one peers.Cluster

func (o one) Cluster(context.Context, peers.Member) (peers.Cluster, error) {
	return peers.Cluster(o), nil
}

// TestAHostJoinsAClusterOfItsVersion: the others are upgraded first.
func TestAHostJoinsAClusterOfItsVersion(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		known peers.Cluster
		want  string
	}{
		{peers.Cluster{Known: true, Gives: true, Version: "v1.36.3"}, ""},
		{peers.Cluster{Known: true, Gives: true, Version: "v1.35.4"}, "a runs v1.35.4, and this host is to join with v1.36.3"},
		{peers.Cluster{Known: true, Gives: true}, "a runs another version just now"}, // it is being upgraded
		{peers.Cluster{Known: true}, "a " + ErrNotReady.Error()},
	} {
		err := Hosts{Peers: one(tt.known)}.MayJoin(t.Context(), peers.Member{Name: "a"}, "v1.36.3")
		if tt.want == "" {
			require.NoError(t, err)
		} else {
			require.ErrorContains(t, err, tt.want)
		}
	}
}
