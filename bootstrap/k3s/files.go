package k3s

import (
	"fmt"
	"maps"
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/holdfast-fleet/holdfast/bootstrap/containerd"
	"github.com/holdfast-fleet/holdfast/bootstrap/solo"
	"github.com/holdfast-fleet/holdfast/bootstrap/system"
)

// files are the configuration and the unit, path → content.
func (f Family) files(want solo.Wanted, address, through string) map[string]string {
	config := f.config(want, address, through)
	if want.Worker {
		config = f.agentConfig(want, address, through)
	}
	return map[string]string{
		filepath.Join(f.etc(), "config.yaml"):                              config,
		filepath.Join(f.etc(), "registries.yaml"):                          registries(want.Registries),
		f.data + "/agent/etc/containerd/config-v3.toml.d/holdfast.toml":    containerd.DropIn,
		system.UnitDir + f.Kind(want.Dir).UnitOf(want.Worker) + ".service": f.unitFile(want.Program, want.Worker),
	}
}

// registries is the file of the same name, which has secrets.
func registries(r containerd.Registries) string {
	text := "# Written by Holdfast.\nmirrors:\n"
	all := r.All()
	for _, name := range slices.Sorted(maps.Keys(all)) {
		text += fmt.Sprintf("  %q:\n    endpoint:\n", name)
		for _, url := range all[name] {
			text += fmt.Sprintf("    - %q\n", url)
		}
	}
	if len(r.Logins) > 0 {
		text += "configs:\n"
	}
	for _, host := range slices.Sorted(maps.Keys(r.Logins)) {
		text += fmt.Sprintf("  %q:\n    auth:\n      username: %q\n      password: %q\n", host, r.Logins[host].Username, r.Logins[host].Password)
	}
	return text
}

// node is what servers and agents have in common, around what they have not. Images are
// not collected by the kubelet: what the next pods need may be there before them.
func (f Family) node(want solo.Wanted, address string, own ...string) []string {
	lines := append([]string{
		"# Written by Holdfast.",
		fmt.Sprintf("node-name: %q", want.Host),
		"node-ip: " + address,
		"token-file: " + filepath.Join(want.Dir, tokenFile),
	}, own...)
	return append(lines,
		"disable-default-registry-endpoint: true",
		"kubelet-arg:",
		"- image-gc-high-threshold=100",
		"- image-gc-low-threshold=99")
}

// agentConfig is the configuration file of a worker.
func (f Family) agentConfig(want solo.Wanted, address, through string) string {
	return strings.Join(f.node(want, address, f.server(want, through)), "\n") + "\n"
}

// server is the line that says whom a node joins.
func (f Family) server(want solo.Wanted, through string) string {
	return "server: https://" + net.JoinHostPort(through, strconv.Itoa(f.supervisor(want.Cluster.APIPort)))
}

// config is the configuration file of a server. Whom it joins counts only until it has
// joined: https://docs.k3s.io/datastore/ha-embedded
func (f Family) config(want solo.Wanted, address, through string) string {
	c := want.Cluster
	lines := f.node(want, address,
		"write-kubeconfig-mode: \"0600\"",
		"cluster-cidr: "+c.PodCIDR,
		"service-cidr: "+c.ServiceCIDR,
		"cluster-dns: "+resolver(c.ServiceCIDR),
	)
	if agents := filepath.Join(want.Dir, agentTokenFile); system.Exists(agents) {
		lines = append(lines, "agent-token-file: "+agents)
	}
	switch {
	case through != "":
		lines = append(lines, f.server(want, through))
	case f.first != "":
		lines = append(lines, f.first)
	}
	for _, line := range f.own {
		lines = append(lines, strings.ReplaceAll(line, "PORT", fmt.Sprint(c.APIPort)))
	}
	return strings.Join(append(lines, disabled(want.Disable)...), "\n") + "\n"
}

// disabled are the lines for parts that are not wanted. Which ingress controller
// RKE2 brings along depends on its version; none is said in a key of its own.
func disabled(names []string) (lines []string) {
	const ingress = "ingress-controller"
	if slices.Contains(names, ingress) {
		lines = append(lines, ingress+": none")
	}
	if names = slices.DeleteFunc(slices.Clone(names), func(name string) bool { return name == ingress }); len(names) > 0 {
		lines = append(lines, "disable:")
	}
	for _, name := range names {
		lines = append(lines, "- "+name)
	}
	return lines
}

// resolver is the address of the cluster's DNS: the tenth of the services', as in the program's defaults.
func resolver(services string) string {
	prefix, err := netip.ParsePrefix(services)
	if err != nil {
		return ""
	}
	address := prefix.Masked().Addr()
	for range 10 {
		address = address.Next()
	}
	return address.String()
}

// unitFile is the unit that the distribution's own installation makes, but for the place of the program.
func (f Family) unitFile(program string, agent bool) string {
	kind, command := "notify", "server"
	if agent {
		kind, command = f.agentType, "agent"
	}
	return fmt.Sprintf(`# Written by Holdfast.
[Unit]
Description=%[1]s
Wants=network-online.target
After=network-online.target

[Install]
WantedBy=multi-user.target

[Service]
Type=%[4]s
EnvironmentFile=-/etc/default/%%N
EnvironmentFile=-/etc/sysconfig/%%N
KillMode=process
Delegate=yes
LimitNOFILE=1048576
LimitNPROC=infinity
LimitCORE=infinity
TasksMax=infinity
TimeoutStartSec=0
Restart=always
RestartSec=5s
ExecStartPre=-/sbin/modprobe br_netfilter
ExecStartPre=-/sbin/modprobe overlay
ExecStart=%[2]s %[5]s
%[3]s`, f.Name, program, strings.Join(append(slices.Clone(f.unitOwn), ""), "\n"), kind, command)
}
