package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/holdfast-fleet/holdfast/e2e/standin/documented"
)

// like is a distribution of the family of k3s.
type like struct {
	table *documented.Table
	name  string
	unit  string // of a server
	keys  string // the table's name for those of the configuration
	pause string // image of the pods' sandboxes
	port  string // of the API, where the configuration says none
	joins string // port where others join, where that is not the API's
}

var family = map[string]like{
	"k3s":  {name: "k3s", unit: "k3s", keys: "key", pause: "docker.io/rancher/mirrored-pause:3.6", port: "6443"},
	"rke2": {name: "rke2", unit: "rke2-server", keys: "key", pause: "docker.io/rancher/mirrored-pause:3.6", port: "6443", joins: "9345"},
}

func (l like) etc(file string) string  { return filepath.Join("/etc/rancher", l.name, file) }
func (l like) data(file string) string { return filepath.Join("/var/lib/rancher", l.name, file) }

func (l like) commands() map[string]func(context.Context, documented.Command) error {
	return map[string]func(context.Context, documented.Command) error{
		"--version": l.printVersion, "server": l.server, "agent": l.agent, "etcd-snapshot save": l.snapshot, "etcd-snapshot delete": l.forget,
		"ctr images list": func(_ context.Context, cmd documented.Command) error {
			args := []string{"--address=/run/k3s/containerd.sock", "--namespace=k8s.io", "images", "list"}
			for flag := range cmd.Flags {
				args = append(args, flag)
			}
			return become(programs+"/ctr", args...)
		},
		"kubectl": func(_ context.Context, cmd documented.Command) error {
			return become(programs+"/kube", append([]string{"kubectl", "--kubeconfig=" + l.etc(l.name+".yaml")}, cmd.Rest...)...)
		},
	}
}

func (l like) printVersion(context.Context, documented.Command) error {
	v, err := version()
	if err == nil {
		_, err = fmt.Printf("%s version %s\n", l.name, v)
	}
	return err
}

// settings checks all that a server reads when it starts.
func (l like) settings() (documented.Settings, error) {
	config, err := os.ReadFile(l.etc("config.yaml"))
	if err != nil {
		return nil, err
	}
	s, err := l.table.YAML(l.keys, config)
	if err != nil {
		return nil, err
	}
	registries, err := os.ReadFile(l.etc("registries.yaml"))
	if err == nil {
		_, err = l.table.YAML("registry", registries)
	}
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	unit, missing := os.ReadFile("/etc/systemd/system/" + l.unit + ".service")
	return s, errors.Join(err, missing, l.table.Unit(string(unit)), l.places(), hasAddress(s))
}

// places refuses files where only documented ones are read.
func (l like) places() error {
	var errs []error
	for _, pattern := range []string{l.etc("*"), l.etc("*/*"), l.data("agent/images/*"), l.data("agent/etc/containerd/*/*")} {
		found, err := filepath.Glob(pattern)
		errs = append(errs, err)
		for _, file := range found {
			errs = append(errs, l.table.Check("path", file, ""))
		}
	}
	return errors.Join(errs...)
}

// hasAddress refuses that of another node.
func hasAddress(s documented.Settings) error {
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		return err
	}
	if want := s.First("node-ip"); want != "" && !slices.ContainsFunc(addresses, func(a net.Addr) bool { return strings.HasPrefix(a.String(), want+"/") }) {
		return fmt.Errorf("no interface has the node-ip %s", want)
	}
	return nil
}

// check is what the real ones are known to refuse of a server.
func (l like) check(s documented.Settings) error {
	services, err := netip.ParsePrefix(s.First("service-cidr"))
	if err != nil {
		return err
	}
	if dns, err := netip.ParseAddr(s.First("cluster-dns")); err != nil || !services.Contains(dns) {
		return fmt.Errorf("%s: cluster-dns %s is not in service-cidr %s", l.name, dns, services)
	}
	return l.token(s)
}

// token refuses another than the cluster was made with: the datastore is encrypted by it.
func (l like) token(s documented.Settings) error {
	t, err := l.readToken(s.First("token-file"))
	if err != nil {
		return err
	}
	if t.authority != "" && t.user != "server" || t.authority == "" && s.First("server") != "" && !hasData(l.data("standin")) {
		return fmt.Errorf("%s: a further server takes the token of a server in the secure format", l.name)
	}
	have, err := l.readToken(l.data("server/token"))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err == nil && have.secret != t.secret:
		return fmt.Errorf("%s: bootstrap data already found and encrypted with different token", l.name)
	}
	return err
}

// apiPort is where the API listens.
func (l like) apiPort(s documented.Settings) (int, error) {
	port := s.First("https-listen-port")
	if port == "" {
		port = l.port
	}
	return strconv.Atoi(port)
}
