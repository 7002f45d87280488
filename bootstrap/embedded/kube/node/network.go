package main

import (
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"

	"github.com/vishvananda/netlink"
)

// plug makes the bridge of the pods and turns forwarding on. The bridge's
// address is the node's: it is there before any pod, and where there is no
// other network at all.
func (n *network) plug() error {
	link, err := bridge(n.Bridge, n.Address)
	if err != nil {
		return fmt.Errorf("make bridge %s: %w", n.Bridge, err)
	}
	if err := route(link, n.Services); err != nil {
		return fmt.Errorf("route services %s: %w", n.Services, err)
	}
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return fmt.Errorf("find loopback: %w", err)
	}
	if err := netlink.LinkSetUp(lo); err != nil {
		return fmt.Errorf("bring loopback up: %w", err)
	}
	if err := os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0); err != nil {
		return fmt.Errorf("turn on forwarding: %w", err)
	}
	// Answers of a service's pod to a pod beside it cross the bridge only, so
	// the bridge must show them to the packet filter.
	const filter = "/proc/sys/net/bridge/bridge-nf-call-iptables"
	if _, err := os.Stat(filter); errors.Is(err, os.ErrNotExist) {
		_ = exec.Command("modprobe", "br_netfilter").Run()
	}
	if err := os.WriteFile(filter, []byte("1"), 0); err != nil {
		return fmt.Errorf("let the bridge use the packet filter: %w", err)
	}
	return nil
}

// route lets this host's own programs reach services where there is no default
// route: the packet filter sees only what has one.
func route(link netlink.Link, network string) error {
	_, dst, err := net.ParseCIDR(network)
	if err != nil {
		return err
	}
	return netlink.RouteReplace(&netlink.Route{LinkIndex: link.Attrs().Index, Dst: dst, Scope: netlink.SCOPE_LINK})
}

func bridge(name, address string) (netlink.Link, error) {
	addr, err := netlink.ParseAddr(address)
	if err != nil {
		return nil, err
	}
	attrs := netlink.NewLinkAttrs()
	attrs.Name = name
	err = netlink.LinkAdd(&netlink.Bridge{LinkAttrs: attrs})
	if err != nil && !errors.Is(err, syscall.EEXIST) {
		return nil, err
	}
	link, err := netlink.LinkByName(name)
	if err != nil {
		return nil, err
	}
	have, err := netlink.AddrList(link, netlink.FAMILY_V4)
	if err != nil {
		return nil, err
	}
	for _, old := range have {
		if !old.Equal(*addr) {
			if err := netlink.AddrDel(link, &old); err != nil {
				return nil, err
			}
		}
	}
	if err := netlink.AddrReplace(link, addr); err != nil {
		return nil, err
	}
	return link, netlink.LinkSetUp(link)
}

// tables are what kube-proxy and the CNI plugins make in the packet filter.
var tables = [][2]string{
	{"ip", "kube-proxy"}, {"ip6", "kube-proxy"},
	{"inet", "cni_plugins_masquerade"},
	{"ip", "cni_hostport"}, {"ip6", "cni_hostport"},
}

// unplug removes what a node leaves in the network: the bridge, interfaces
// of pods, and packet filter tables. What is not there is no error.
func unplug(args []string) error {
	flags := flag.NewFlagSet("unplug", flag.ExitOnError)
	name := flags.String("bridge", "", "the node's bridge")
	if err := flags.Parse(args); err != nil {
		return err
	}
	link, err := netlink.LinkByName(*name)
	var none netlink.LinkNotFoundError
	switch {
	case errors.As(err, &none):
	case err != nil:
		return fmt.Errorf("find bridge %s: %w", *name, err)
	default:
		if err := removeBridge(link); err != nil {
			return fmt.Errorf("remove bridge %s: %w", *name, err)
		}
	}
	var errs []error
	for _, t := range tables {
		out, err := exec.Command("nft", "delete", "table", t[0], t[1]).CombinedOutput()
		if err != nil && !strings.Contains(string(out), "No such file") {
			errs = append(errs, fmt.Errorf("remove nft table %s %s: %w: %s", t[0], t[1], err, out))
		}
	}
	return errors.Join(errs...)
}

func removeBridge(link netlink.Link) error {
	all, err := netlink.LinkList()
	if err != nil {
		return err
	}
	for _, l := range all {
		if l.Attrs().MasterIndex == link.Attrs().Index && l.Attrs().Flags&net.FlagLoopback == 0 {
			if err := netlink.LinkDel(l); err != nil && !errors.Is(err, syscall.ENODEV) {
				return err
			}
		}
	}
	return netlink.LinkDel(link)
}
