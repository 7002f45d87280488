package kubeadm

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-fleet/holdfast/bootstrap/system"
)

// TestTheAddressOfANode: a loopback stands for the interface of a host here.
func TestTheAddressOfANode(t *testing.T) {
	t.Parallel()
	const own, gone = "127.0.0.1", "192.0.2.7"
	here, nowhere := system.Network{Interface: "lo", Address: own}, system.Network{Address: gone}
	for _, tt := range []struct {
		name    string
		worker  bool
		rec     record
		network system.Network
		want    string
		refused string
	}{
		{name: "a new one has what is found", network: here, want: own},
		{name: "or cannot begin", network: nowhere, refused: "does not have the address 192.0.2.7"},
		{name: "so has one whose attempt was cut off on another", rec: record{Step: stepJoin, Address: gone}, network: here, want: own},
		{name: "a worker goes to another", worker: true, rec: record{Step: stepReady, Address: gone}, network: here, want: own},
		{name: "a worker whose cable is out keeps its own", worker: true, rec: record{Step: stepReady, Address: own}, network: nowhere, want: own},
		{name: "a control plane keeps its own, whatever the way to the world", rec: record{Step: stepReady, Address: own}, want: own},
		{name: "and the one that the fleet says", rec: record{Step: stepReady, Address: own}, network: here, want: own},
		{name: "it does not go to another by a commit", rec: record{Step: stepReady, Address: own}, network: nowhere, refused: "cannot change while it is part of its cluster, and the fleet says 192.0.2.7"},
		{name: "nor by itself", rec: record{Step: stepReady, Address: gone}, refused: "this host has lost the address of its control plane: "},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			n := testNode(t)
			n.Worker, n.Network = tt.worker, tt.network
			got, err := n.addressBy(tt.rec)
			if tt.refused == "" {
				require.NoError(t, err)
				require.Equal(t, tt.want, got)
				return
			}
			var refusal *system.PreflightError
			require.ErrorAs(t, err, &refusal)
			require.ErrorContains(t, err, tt.refused)
			require.NotEmpty(t, refusal.Hint())
		})
	}
}

// TestTheKubeletIsToldWhoItIs each time it starts: the machine may be called anything.
func TestTheKubeletIsToldWhoItIs(t *testing.T) {
	t.Parallel()
	n := testNode(t)
	n.address = "10.0.0.42"
	require.Contains(t, n.kubeletUnitFile(), "$KUBELET_KUBEADM_ARGS --hostname-override=store-042-a --node-ip=10.0.0.42\n", "after what kubeadm wrote down, for the last one counts")
}
