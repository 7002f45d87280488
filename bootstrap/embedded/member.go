package embedded

import (
	"fmt"
	"net"
)

// Member makes the node's etcd one of several, which reach each other at the addresses
// of their nodes, by whose names they go. Of all controller managers one works at a
// time, and of the schedulers, too.
//
// The authorities are the same on all of these nodes: who joins has them in DIR/pki before.
type Member struct {
	Cluster string // that it joins, itself among them, as etcd's --initial-cluster says it; empty: it makes one, or is in already
}

// PeerURL is where the etcd at an address listens for others.
func PeerURL(address string) string { return "https://" + net.JoinHostPort(address, "2380") }

// member is what etcd is told of itself and the others.
func (n *node) member() (name, peer, cluster string) {
	if n.Member == nil {
		name, peer = "node", fmt.Sprintf("https://127.0.0.1:%d", n.ports.EtcdPeer)
	} else {
		name, peer = n.Host, PeerURL(n.Address)
	}
	if n.joins() {
		return name, peer, n.Member.Cluster
	}
	return name, peer, name + "=" + peer
}

// joins tells whether others have an etcd that the node's becomes part of.
func (n *node) joins() bool { return n.Member != nil && n.Member.Cluster != "" }
