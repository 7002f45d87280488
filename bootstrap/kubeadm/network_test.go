package kubeadm

import (
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-fleet/holdfast/fleet"
	"github.com/holdfast-fleet/holdfast/peers"
)

// FuzzParseRoutes reads what the kernel writes, and whatever else.
func FuzzParseRoutes(f *testing.F) {
	f.Add("Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n" +
		"eth0\t0001F40A\t0C004D0A\t0003\t0\t0\t0\t00FFFFFF\t0\t0\t0\n")
	f.Fuzz(func(t *testing.T, table string) {
		for network, via := range parseRoutes(table) {
			_, err := netip.ParsePrefix(network)
			require.NoError(t, err)
			_, err = netip.ParseAddr(via)
			require.NoError(t, err)
		}
	})
}

func TestRoutesOfTheKernel(t *testing.T) {
	t.Parallel()
	require.Equal(t, map[string]string{"10.244.1.0/24": "10.77.0.12", "0.0.0.0/0": "10.77.0.1"}, parseRoutes(
		"Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n"+
			"eth0\t00000000\t01004D0A\t0003\t0\t0\t0\t00000000\t0\t0\t0\n"+
			"eth0\t0001F40A\t0C004D0A\t0003\t0\t0\t0\t00FFFFFF\t0\t0\t0\n"))
}

func TestTheFirstNodeHasTheFirstNetwork(t *testing.T) {
	t.Parallel()
	for all, want := range map[string]string{
		"10.244.0.0/16": "10.244.0.0/24", "10.244.7.9/16": "10.244.0.0/24", "10.244.3.0/24": "10.244.3.0/24",
		"10.244.3.0/25": "", "fd00::/48": "", "": "",
	} {
		require.Equal(t, want, firstNetwork(all), all)
	}
}

// TestEachNodeHasItsOwnPods shows what a node among others is told of the network.
func TestEachNodeHasItsOwnPods(t *testing.T) {
	t.Parallel()
	n := testNode(t)
	files := n.linkFiles("10.244.0.0/24", map[string]string{"10.244.2.0/24": "10.0.0.13", "10.244.1.0/24": "10.0.0.12"})
	require.Equal(t, "route flush proto 84\nroute replace 10.244.1.0/24 via 10.0.0.12 proto 84\nroute replace 10.244.2.0/24 via 10.0.0.13 proto 84\n", files[n.Dir+"/routes"])
	require.Contains(t, networkConfig("10.244.0.0/24"), `"subnet": "10.244.0.0/24"`)
	require.Contains(t, files[n.Dir+"/masquerade"], "ip saddr 10.244.0.0/24 ip daddr != { 10.244.0.0/16, 224.0.0.0/4 } masquerade", "pods of other nodes see who calls")
}

// TestAWorkerAsksOftenForItsNetwork: what it waits for is seconds away, while the only host
// of the control plane starts again, or the cluster has yet to choose.
func TestAWorkerAsksOftenForItsNetwork(t *testing.T) {
	t.Parallel()
	for why, answers := range map[string]asked{
		"no host of the control plane answers": nil,
		"has not given this node a network":    {"store-042-a": {Gives: true, Nodes: []peers.Node{{Name: "store-042-a", Pods: "10.244.0.0/24"}}}},
	} {
		n := testNode(t)
		n.Host, n.Worker, n.Peers = "store-042-b", true, answers
		n.Members = []peers.Member{{Name: "store-042-a", Role: fleet.ControlPlane}, {Name: n.Host, Role: fleet.Worker}}
		err := n.networked(t.Context())
		require.ErrorContains(t, err, why)
		var soon interface{ Poll() time.Duration }
		require.ErrorAs(t, err, &soon, why)
		require.Equal(t, 10*time.Second, soon.Poll())
	}
}
