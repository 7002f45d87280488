package system

import (
	"fmt"
	"net"
	"net/netip"
)

// Network says which address of the host is the node's.
type Network struct {
	Address   string // empty: the first of the interface
	Interface string // with the address; empty, too: that of the default route
}

// Find finds the node's address on this host.
func (w Network) Find() (string, error) {
	if w == (Network{}) {
		return ownAddress()
	}
	addresses, err := w.addresses()
	if err != nil {
		return "", err
	}
	for _, a := range addresses {
		if w.Address == a.String() || w.Address == "" && a.Is4() && a.IsGlobalUnicast() {
			return a.String(), nil
		}
	}
	what, hint := "the interface "+w.Interface+" has no IPv4 address", "give it one"
	if w.Address != "" {
		what, hint = fmt.Sprintf("this host does not have the address %s that the fleet gives it, but %v", w.Address, addresses), "set it on the host, or correct spec.network in the host's file"
	}
	return "", Refuse(what, hint)
}

// LAN is the network that an address of this host is in, or the address alone.
func LAN(address string) string {
	list, _ := net.InterfaceAddrs() // none is like one that is not there
	for _, a := range list {
		if prefix, err := netip.ParsePrefix(a.String()); err == nil && prefix.Addr().String() == address {
			return prefix.Masked().String()
		}
	}
	return address
}

// addresses are those of the interface, or of all.
func (w Network) addresses() ([]netip.Addr, error) {
	list, err := net.InterfaceAddrs()
	if w.Interface != "" {
		var i *net.Interface
		if i, err = net.InterfaceByName(w.Interface); err != nil {
			return nil, Refuse(fmt.Sprintf("this host has no interface %s: %s", w.Interface, err), "correct spec.network in the host's file; ip link lists those that there are")
		}
		list, err = i.Addrs()
	}
	var addresses []netip.Addr
	for _, a := range list {
		if prefix, err := netip.ParsePrefix(a.String()); err == nil {
			addresses = append(addresses, prefix.Addr())
		}
	}
	return addresses, err
}

// ownAddress is the one that the host talks to the world from.
func ownAddress() (string, error) {
	conn, err := net.Dial("udp4", "192.0.2.1:9") // sends nothing; an address for documentation, RFC 5737
	if err != nil {
		return "", Refuse("this host has no address that others could reach: "+err.Error(),
			"give it a static address and a default route, or say in its file which it has: spec.network.address")
	}
	defer conn.Close()
	return conn.LocalAddr().(*net.UDPAddr).IP.String(), nil
}
