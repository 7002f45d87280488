package preflight

import (
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/holdfast-fleet/holdfast/bootstrap/system"
)

const mega = 1 << 20

func (m machine) systemd() []Finding {
	if system.Exists(m.at("/run/systemd/system")) {
		return nil
	}
	return []Finding{{What: "this host does not run systemd", Hint: "what runs Kubernetes are units of systemd; use a host that boots with it"}}
}

func (m machine) processors(n Needs) []Finding {
	if m.cpus >= n.CPUs {
		return nil
	}
	return []Finding{{What: fmt.Sprintf("the host has %d processor, and the node needs %d", m.cpus, n.CPUs), Hint: "use a machine with more, or make it a worker"}}
}

func (m machine) memory(n Needs) []Finding {
	data, err := os.ReadFile(m.at("/proc/meminfo"))
	if err != nil {
		return []Finding{{What: err.Error(), Hint: "mount /proc", Warning: true}}
	}
	var kilobytes int64
	for line := range strings.Lines(string(data)) {
		if _, err := fmt.Sscanf(line, "MemTotal: %d kB", &kilobytes); err == nil {
			break
		}
	}
	if kilobytes<<10 >= n.Memory {
		return nil
	}
	return []Finding{{What: fmt.Sprintf("the host has %d MB of memory, and the node needs %d", kilobytes>>10, n.Memory/mega), Hint: "use a machine with more, or a distribution that needs less, such as k3s"}}
}

func (m machine) disk(n Needs) (found []Finding) {
	for _, dir := range slices.Sorted(maps.Keys(n.Room)) {
		free, err := m.free(m.at(dir))
		switch {
		case err != nil:
			found = append(found, Finding{What: fmt.Sprintf("how much room there is at %s cannot be told: %s", dir, err), Hint: "look on the host: df " + dir, Warning: true})
		case free < n.Room[dir]:
			found = append(found, Finding{What: fmt.Sprintf("%s has room for %d MB, and %d MB are needed", dir, free/mega, n.Room[dir]/mega), Hint: "make room, or mount a larger disk there"})
		}
	}
	return found
}

func (m machine) swap() []Finding {
	data, err := os.ReadFile(m.at("/proc/swaps"))
	if err != nil || strings.Count(string(data), "\n") < 2 {
		return nil
	}
	return []Finding{{What: "the host swaps: under pressure pods become slow instead of being moved or ended", Hint: "swapoff -a, and take swap out of /etc/fstab", Warning: true}}
}

// cgroups looks for the controllers that the kubelet limits pods by.
func (m machine) cgroups() (found []Finding) {
	const remedy = "boot with cgroup_enable=%[1]s on the kernel's command line, as many images for small boards need it"
	unified, err := os.ReadFile(m.at("/sys/fs/cgroup/cgroup.controllers"))
	if err == nil {
		have := strings.Fields(string(unified))
		for _, name := range []string{"cpu", "cpuset", "memory", "pids"} {
			if !slices.Contains(have, name) {
				found = append(found, Finding{What: "the kernel's cgroups have no controller " + name, Hint: fmt.Sprintf(remedy, name)})
			}
		}
		return found
	}
	table, err := os.ReadFile(m.at("/proc/cgroups"))
	if err != nil {
		return []Finding{{What: "the kernel has no cgroups", Hint: "use a kernel that has: CONFIG_CGROUPS"}}
	}
	enabled := map[string]bool{}
	for line := range strings.Lines(string(table)) {
		if words := strings.Fields(line); len(words) == 4 {
			enabled[words[0]] = words[3] == "1"
		}
	}
	for _, name := range []string{"cpu", "cpuacct", "cpuset", "devices", "freezer", "memory", "pids"} {
		if !enabled[name] {
			found = append(found, Finding{What: "the kernel's cgroups have no controller " + name, Hint: fmt.Sprintf(remedy, name)})
		}
	}
	return append(found, Finding{What: "the host has version 1 of cgroups, which Kubernetes leaves behind", Hint: "boot with systemd.unified_cgroup_hierarchy=1 on the kernel's command line", Warning: true})
}

// kernel looks for what containers and their network are made of.
func (m machine) kernel(ctx context.Context, n Needs, closer bool) (found []Finding) {
	systems, _ := os.ReadFile(m.at("/proc/filesystems"))
	if !slices.Contains(strings.Fields(string(systems)), "overlay") {
		if _, err := m.run(ctx, "overlay", "modprobe", "--dry-run", "--", "overlay"); err != nil {
			found = append(found, Finding{What: "the kernel has no overlay file system, which images are unpacked to", Hint: "install the modules of the kernel that runs, or start the host again after an update of its kernel"})
		}
	}
	if n.Nftables && closer && m.find("nft") == nil {
		if _, err := m.run(ctx, "nft", "nft", "list", "tables"); err != nil {
			found = append(found, Finding{What: "the kernel has no nftables, which services and pods are reached by: " + err.Error(), Hint: "use a kernel with CONFIG_NF_TABLES, or install its modules"})
		}
	}
	return found
}

func (m machine) programs(n Needs) []Finding {
	var missing []string
	for _, program := range n.Programs {
		if m.find(program) != nil {
			missing = append(missing, program)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	return []Finding{{What: "the host lacks " + strings.Join(missing, ", "), Hint: "install what has them, on Debian: apt install " + strings.Join(packagesOf(missing), " ")}}
}

// packagesOf are Debian's packages of programs.
func packagesOf(programs []string) (packages []string) {
	for _, p := range programs {
		name, ok := map[string]string{"nft": "nftables", "ip": "iproute2", "modprobe": "kmod", "losetup": "mount", "umount": "mount", "cp": "coreutils", "sh": "dash"}[p]
		if !ok {
			name = p
		}
		if !slices.Contains(packages, name) {
			packages = append(packages, name)
		}
	}
	return packages
}

// ports finds those that something listens on already.
func (m machine) ports(ctx context.Context, n Needs) (found []Finding) {
	taken := map[int]bool{}
	for _, file := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		if data, err := os.ReadFile(m.at(file)); err == nil {
			maps.Copy(taken, listening(string(data)))
		}
	}
	for _, port := range n.Ports {
		if !taken[port.Number] {
			continue
		}
		by := "something"
		if out, err := m.run(ctx, "port", "ss", "-Hltnp", fmt.Sprintf("sport = :%d", port.Number)); err == nil {
			by = owner(out)
		}
		found = append(found, Finding{What: fmt.Sprintf("port %d, which %s needs, is taken by %s", port.Number, port.For, by), Hint: fmt.Sprintf("stop it, or have it listen elsewhere; ss -ltnp 'sport = :%d' shows it", port.Number)})
	}
	return found
}

// listening reads /proc/net/tcp or tcp6, see proc(5): the ports of sockets in state 0A.
func listening(table string) map[int]bool {
	ports := map[int]bool{}
	for line := range strings.Lines(table) {
		words := strings.Fields(line)
		if len(words) < 4 || words[3] != "0A" {
			continue
		}
		_, port, _ := strings.Cut(words[1], ":")
		if number, err := strconv.ParseUint(port, 16, 16); err == nil {
			ports[int(number)] = true
		}
	}
	return ports
}

// owner reads the process of a socket from what ss -p prints: users:(("name",pid=1,fd=2)).
func owner(line string) string {
	_, users, _ := strings.Cut(line, `users:(("`)
	name, rest, ok := strings.Cut(users, `"`)
	_, pid, ok2 := strings.Cut(rest, "pid=")
	pid, _, _ = strings.Cut(pid, ",")
	if number, err := strconv.Atoi(pid); ok && ok2 && err == nil {
		return fmt.Sprintf("%q, process %d", name, number)
	}
	return "something"
}
