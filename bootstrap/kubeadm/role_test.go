package kubeadm

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-fleet/holdfast/bootstrap/site"
	"github.com/holdfast-fleet/holdfast/fleet"
	"github.com/holdfast-fleet/holdfast/peers"
)

// cluster is one whose control plane is asked to let hosts go, and refuses.
type cluster struct {
	oneVersion
	why   string
	asked *[]string
}

func (c cluster) Leave(_ context.Context, through peers.Member, _ string) error {
	*c.asked = append(*c.asked, through.Name)
	return &peers.RefusedError{Peer: through.Name, Reason: c.why}
}

// TestAHostStaysWhatItIsUntilItIsLetGo goes through why a role does not change.
func TestAHostStaysWhatItIsUntilItIsLetGo(t *testing.T) {
	t.Parallel()
	member := func(name string, role fleet.Role) peers.Member { return peers.Member{Name: name, Role: role} }
	for _, tt := range []struct {
		name    string
		rec     record
		members []peers.Member
		version string // of the cluster
		why     string // of who is asked
		asked   []string
		want    []string // in the error
	}{
		{name: "it has the role already", rec: record{Step: stepReady, Worker: true}},
		{name: "an attempt that was cut off may become anything", rec: record{Step: stepJoin}},
		{name: "it is the only one of the control plane", rec: record{Step: stepReady}, members: []peers.Member{member("b", fleet.Worker)},
			want: []string{"the role of this host has changed", "no host of the control plane answers"}},
		{name: "the cluster is of another version, so it could not come back", rec: record{Step: stepReady}, version: "v1.35.4",
			members: []peers.Member{member("b", fleet.ControlPlane)}, want: []string{"b runs v1.35.4, and this host is to join with v1.36.3"}},
		{name: "etcd would lose its quorum", rec: record{Step: stepReady}, version: "v1.36.3", why: "etcd has too few members",
			members: []peers.Member{member("b", fleet.ControlPlane), member("c", fleet.ControlPlane)}, asked: []string{"b"}, want: []string{"b: etcd has too few members"}},
		{name: "who is no node yet sends it on", rec: record{Step: stepReady}, version: "v1.36.3", why: site.ErrNotReady.Error(),
			members: []peers.Member{member("b", fleet.ControlPlane), member("c", fleet.ControlPlane)}, asked: []string{"b", "c"}, want: []string{"no host of the control plane answers"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			n := testNode(t)
			require.NoError(t, n.writeRecord(tt.rec))
			var asked []string
			cfg := n.Config
			cfg.Worker, cfg.Peers = true, cluster{oneVersion{tt.version}, tt.why, &asked}
			cfg.Members = append([]peers.Member{member(n.Host, fleet.Worker)}, tt.members...)
			err := ChangeRole(t.Context(), cfg)
			require.Equal(t, tt.asked, asked)
			rec, readErr := n.readRecord()
			require.NoError(t, readErr)
			require.Equal(t, tt.rec, rec)
			if tt.want == nil {
				require.NoError(t, err)
				return
			}
			for _, want := range tt.want {
				require.ErrorContains(t, err, want)
			}
			var hinted interface{ Hint() string }
			require.ErrorAs(t, err, &hinted)
			require.Contains(t, hinted.Hint(), "set the role back")
		})
	}
}

func TestAHostThatNeverWasANodeNeedsNobodyToLetItGo(t *testing.T) {
	t.Parallel()
	n := testNode(t)
	n.Worker = true
	n.Members = []peers.Member{{Name: "b", Role: fleet.ControlPlane, Network: fleet.Network{Address: "127.0.0.1"}}}
	require.NoError(t, n.isLetGo(t.Context(), record{Step: stepJoin, Worker: true}))
	require.Error(t, n.isLetGo(t.Context(), record{Step: stepReady, Worker: true}), "its credentials are lost, and it may be one")
}
