package testhost

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Address is that of the test itself on the LAN: servers listen on it.
const Address = "10.77.0.1"

// LAN is the network of the test hosts: a bridge in the sandbox.
type LAN struct {
	dir   string // of the sandbox
	tree  string
	names []string // of hosts; the first has the address 10.77.0.11
}

// NewLAN makes the network for hosts of these names, which resolve everywhere
// on it. One sandbox has one LAN.
func NewLAN(names ...string) (*LAN, error) {
	dir := os.Getenv(insideVariable)
	if dir == "" {
		return nil, fmt.Errorf("not inside: call Inside first")
	}
	l := &LAN{dir: dir, tree: os.Getenv(treeVariable), names: names}
	for _, args := range [][]string{
		{"link", "add", "lan", "address", "02:00:00:4d:00:01", "type", "bridge"}, // or it would change with the cables, and hosts ask at the old one
		{"address", "add", Address + "/24", "dev", "lan"},
		{"link", "set", "lan", "up"},
		{"route", "add", "unreachable", "default"}, // the world beyond the LAN: refused at once, not after a time-out
	} {
		if err := ip(args...); err != nil {
			return nil, err
		}
	}
	return l, os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0o644)
}

// AddressOf returns the address of a host by its name.
func (l *LAN) AddressOf(name string) string {
	for i, n := range l.names {
		if n == name {
			return fmt.Sprintf("10.77.0.%d", 11+i)
		}
	}
	return ""
}

// hosts is the content of /etc/hosts on a host.
func (l *LAN) hosts() string {
	var b strings.Builder
	fmt.Fprintf(&b, "127.0.0.1 localhost\n%s headquarters\n", Address)
	for _, name := range l.names {
		fmt.Fprintf(&b, "%s %s\n", l.AddressOf(name), name)
	}
	return b.String()
}

// plug gives the host its end of a cable to the bridge.
func (l *LAN) plug(name string) error {
	for _, args := range [][]string{
		{"netns", "add", name},
		{"link", "add", "to-" + name, "type", "veth", "peer", "name", "eth0", "netns", name},
		{"link", "set", "to-" + name, "master", "lan", "up"},
		{"-n", name, "link", "set", "lo", "up"},
		{"-n", name, "address", "add", l.AddressOf(name) + "/24", "dev", "eth0"},
		{"-n", name, "link", "set", "eth0", "up"},
		{"-n", name, "route", "add", "default", "via", Address},
	} {
		if err := ip(args...); err != nil {
			return err
		}
	}
	return nil
}

// unplug takes the cable away, and with it all that the host had of the network.
func (l *LAN) unplug(name string) error {
	return errors.Join(ip("link", "delete", "to-"+name), ip("netns", "delete", name))
}

// forget removes what the kernel of a machine loses with its power: here the host's
// end of the cable keeps the namespace, and with it packet filters and bridges.
func (l *LAN) forget(name string) error {
	const script = `PATH=/usr/sbin:/usr/bin; set -e; nft flush ruleset; for bridge in $(ip -oneline link show type bridge | cut -d: -f2); do ip link delete "$bridge"; done`
	out, err := exec.Command("nsenter", "--net=/run/netns/"+name, "chroot", l.tree, "/bin/sh", "-c", script).CombinedOutput()
	if err != nil {
		return fmt.Errorf("host %s: clear its network: %w: %s", name, err, bytes.TrimSpace(out))
	}
	return nil
}

// Cut pulls the host's cable out.
func (l *LAN) Cut(name string) error { return ip("link", "set", "to-"+name, "down") }

// Mend puts the host's cable back.
func (l *LAN) Mend(name string) error { return ip("link", "set", "to-"+name, "up") }

// Host makes a host, off and newly installed, with the files of layers, the
// first above the others. The name must be one of the LAN's.
func (l *LAN) Host(name string, layers ...string) (*Host, error) {
	if l.AddressOf(name) == "" {
		return nil, fmt.Errorf("no host %q on the LAN, which has %s", name, strings.Join(l.names, ", "))
	}
	h := &Host{Name: name, Address: l.AddressOf(name), lan: l, dir: filepath.Join(l.dir, name)}
	return h, h.install(layers)
}

// Tree is the folder of the Debian tree that hosts boot from.
func (l *LAN) Tree() string { return l.tree }
