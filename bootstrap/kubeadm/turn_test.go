package kubeadm

import (
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
