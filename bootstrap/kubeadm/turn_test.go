package kubeadm

import (
	"context"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-fleet/holdfast/fleet"
	"github.com/holdfast-fleet/holdfast/peers"
)

// TestAnUpgradeDoesNotWaitForWhoWaitsForIt: a host joins a cluster of its version alone.
func TestAnUpgradeDoesNotWaitForWhoWaitsForIt(t *testing.T) {
	t.Parallel()
	hosts := []peers.Member{{Name: "a", Role: fleet.Worker}, {Name: "b", Role: fleet.ControlPlane}, {Name: "c", Role: fleet.ControlPlane}}
	require.Equal(t, hosts[1:2], servers(slices.Clone(hosts), []member{{Name: "b"}, {Name: "z"}}), "c is registered by the same commit")
}

// TestAWorkerIsNotAwayWhileItWaitsForTheControlPlane: that waits for who is away, as one
// may be that was cut off, and finds that the fleet says yet another version.
func TestAWorkerIsNotAwayWhileItWaitsForTheControlPlane(t *testing.T) {
	t.Parallel()
	for version, want := range map[string][]string{"v1.36.3": {"away", "away anew"}, "v1.35.4": {"back"}, "": {"back"}} {
		var told []string
		n := newNode(Config{
			Dir: t.TempDir(), Host: "b", Worker: true, Cluster: Cluster{Version: "v1.36.3"}, Peers: tells{oneVersion{version}, &told},
			Members: []peers.Member{{Name: "a", Role: fleet.ControlPlane}, {Name: "b", Role: fleet.Worker}},
		})
		rec := record{Step: stepReady, Worker: true}
		err := n.leave(t.Context(), &rec)
		if version == "v1.36.3" {
			require.NoError(t, err)
			n.Anew = true // somebody ordered it
			require.NoError(t, n.leave(t.Context(), &rec))
		} else {
			require.ErrorContains(t, err, "a does not run v1.36.3 yet")
		}
		require.Equal(t, want, told, "the control plane runs %s", version)
	}
}

// tells notes what a member of a site was told.
type tells struct {
	oneVersion
	told *[]string
}

func (s tells) Away(_ context.Context, _ peers.Member, anew bool) error {
	*s.told = append(*s.told, map[bool]string{false: "away", true: "away anew"}[anew])
	return nil
}
func (s tells) Back(context.Context, peers.Member) error {
	*s.told = append(*s.told, "back")
	return nil
}
