package k3s

import (
	"fmt"
	"maps"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"

	"github.com/holdfast-fleet/holdfast/bootstrap/containerd"
	"github.com/holdfast-fleet/holdfast/bootstrap/system"
)

// files are the configuration and the unit, path → content.
func (f Family) files(cfg Config, program, token, address string) map[string]string {
	return map[string]string{
		filepath.Join(f.etc(), "config.yaml"):     f.config(cfg, token, address),
		filepath.Join(f.etc(), "registries.yaml"): registries(cfg.Registries),
		system.UnitDir + f.unit + ".service":      f.unitFile(program),
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

// config is the configuration file. Images are not collected by the kubelet:
// what the next pods need may be there before them.
func (f Family) config(cfg Config, token, address string) string {
	c := cfg.Cluster
	lines := []string{
		"# Written by Holdfast.",
		fmt.Sprintf("node-name: %q", cfg.Host),
		"node-ip: " + address,
		"token-file: " + token,
		"write-kubeconfig-mode: \"0600\"",
		"cluster-cidr: " + c.PodCIDR,
		"service-cidr: " + c.ServiceCIDR,
		"cluster-dns: " + resolver(c.ServiceCIDR),
		"disable-default-registry-endpoint: true",
		"kubelet-arg:",
		"- image-gc-high-threshold=100",
		"- image-gc-low-threshold=99",
	}
	for _, line := range f.own {
		lines = append(lines, strings.ReplaceAll(line, "PORT", fmt.Sprint(c.APIPort)))
	}
	return strings.Join(append(lines, disabled(cfg.Disable)...), "\n") + "\n"
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
func (f Family) unitFile(program string) string {
	return fmt.Sprintf(`# Written by Holdfast.
[Unit]
Description=%[1]s
Wants=network-online.target
After=network-online.target

[Install]
WantedBy=multi-user.target

[Service]
Type=notify
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
ExecStart=%[2]s server
%[3]s`, f.Name, program, strings.Join(append(f.unitOwn, ""), "\n"))
}
