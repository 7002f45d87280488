package kubeadm

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/holdfast-fleet/holdfast/bootstrap/site"
	"github.com/holdfast-fleet/holdfast/bootstrap/system"
)

const (
	networkFile = "/etc/cni/net.d/10-holdfast.conflist"
	networkUnit = "holdfast-network.service"
)

// tend keeps up with what changes around a node that is as it should be.
func (n *node) tend(ctx context.Context) error {
	if len(n.Members) < 2 && len(n.Removed) == 0 {
		return nil
	}
	return errors.Join(n.relayRuns(ctx), n.letGo(ctx), n.networked(ctx))
}

// networked gives pods the network that the cluster chose for this node.
func (n *node) networked(ctx context.Context) error {
	own, err := n.linked(ctx)
	if err != nil {
		return err
	}
	_, err = system.Write(map[string]string{networkFile: networkConfig(own)})
	return err
}

// linked returns the network that the cluster chose for this node's pods, once the host has ways
// out of it, and to those of each other node, which are on the same LAN.
func (n *node) linked(ctx context.Context) (own string, err error) {
	list := n.nodes
	if n.Worker {
		list = n.theirNodes
	}
	nodes, err := list(ctx)
	if err != nil {
		return "", err
	}
	own, routes := routesOf(n.Host, nodes)
	if own == "" {
		own = n.first // which it is given in some seconds
	}
	if own == "" {
		return "", site.Soon(errors.New("the cluster has not given this node a network for its pods yet"))
	}
	return own, n.link(ctx, own, routes)
}

// link makes the ways, see linkFiles.
func (n *node) link(ctx context.Context, own string, routes map[string]string) error {
	apply := func() error {
		return renewed(ctx, networkUnit, "restart "+networkUnit)
	}
	if err := n.settle("network", n.linkFiles(own, routes), apply); err != nil {
		return err
	}
	if err := system.Enable(networkUnit); err != nil {
		return err
	}
	if routed(routes) {
		return nil
	}
	return apply()
}

// firstNetwork is what a new cluster gives its first node for its pods: the first of
// its networks. With that in place before its kubelet runs, the node is Ready at once,
// and pods need not wait until the network is the cluster's own word.
func firstNetwork(all string) string {
	pods, err := netip.ParsePrefix(all)
	if err != nil || !pods.Addr().Is4() || pods.Bits() > nodeBits {
		return ""
	}
	return netip.PrefixFrom(pods.Masked().Addr(), nodeBits).String()
}

// nodeBits is the length of the network that the controller manager gives each node.
const nodeBits = 24

// linkFiles are what makes ways, path → content; routes are networks of pods → addresses
// of their nodes.
func (n *node) linkFiles(own string, routes map[string]string) map[string]string {
	batch := "route flush proto 84\n"
	for _, network := range slices.Sorted(maps.Keys(routes)) {
		batch += fmt.Sprintf("route replace %s via %s proto 84\n", network, routes[network])
	}
	return map[string]string{
		filepath.Join(n.Dir, "routes"):     batch,
		filepath.Join(n.Dir, "masquerade"): masquerade(own, n.Cluster.PodCIDR),
		system.UnitDir + networkUnit:       n.networkUnit(),
	}
}

// networkConfig follows the CNI specification 1.0.0 and the plugins' own pages at https://www.cni.dev/plugins/current/.
func networkConfig(own string) string {
	return strings.ReplaceAll(`{
  "cniVersion": "1.0.0",
  "name": "holdfast",
  "plugins": [
    {
      "type": "bridge", "bridge": "cni0", "isGateway": true, "hairpinMode": true,
      "ipam": {"type": "host-local", "ranges": [[{"subnet": "PODCIDR"}]], "routes": [{"dst": "0.0.0.0/0"}]}
    },
    {"type": "portmap", "backend": "nftables", "capabilities": {"portMappings": true}}
  ]
}
`, "PODCIDR", own)
}

// masquerade has pods leave the cluster with the host's address: beyond its
// nodes nobody knows a way back to them.
func masquerade(own, all string) string {
	return fmt.Sprintf(`table ip holdfast
delete table ip holdfast
table ip holdfast {
	chain postrouting {
		type nat hook postrouting priority srcnat
		ip saddr %s ip daddr != { %s, 224.0.0.0/4 } masquerade
	}
}
`, own, all)
}

func (n *node) networkUnit() string {
	return fmt.Sprintf(`# Written by Holdfast.
[Unit]
Description=Ways to the pods of the cluster's other nodes, and for pods out of it
After=network.target

[Service]
Type=oneshot
RemainAfterExit=yes
Environment=PATH=%[1]s
ExecStart=nft -f %[2]s/masquerade
# A node whose address is not reached yet must not keep the others from being routed to.
ExecStart=-ip -force -batch %[2]s/routes

[Install]
WantedBy=multi-user.target
`, system.Path, n.Dir)
}

// routed tells whether the kernel has all of the routes.
func routed(routes map[string]string) bool {
	if len(routes) == 0 {
		return true
	}
	table, err := os.ReadFile("/proc/net/route")
	if err != nil {
		return false
	}
	have := parseRoutes(string(table))
	for network, via := range routes {
		if have[network] != via {
			return false
		}
	}
	return true
}
