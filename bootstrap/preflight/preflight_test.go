package preflight

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-fleet/holdfast/bootstrap/system"
)

// fake is a machine that is all well, in a folder.
type fake struct {
	*testing.T
	machine
	needs Needs
	says  map[string]string // what of run → what it prints; none: it fails
	lacks string            // a program
	date  time.Time
}

func newFake(t *testing.T) *fake {
	f := &fake{T: t, says: map[string]string{"overlay": "", "nft": ""}, date: time.Date(2026, 11, 26, 8, 0, 0, 0, time.UTC)}
	f.machine = machine{
		root: t.TempDir(), cpus: 2, free: func(string) (int64, error) { return 20 << 30, nil },
		synchronised: func() bool { return true }, now: func() time.Time { return f.date },
		find: func(program string) error {
			if program == f.lacks {
				return errors.New("not found")
			}
			return nil
		},
		run: func(_ context.Context, what string, _ ...string) (string, error) {
			out, ok := f.says[what]
			if !ok {
				return "", errors.New(what + " failed")
			}
			return out, nil
		},
	}
	f.needs = Needs{
		CPUs: 2, Memory: 1700 << 20, Programs: []string{"mount", "nft", "losetup"}, Room: map[string]int64{"/var/lib/containerd": 10 << 30},
		Ports: []Port{{6443, "the API server"}, {10250, "the kubelet"}}, Runtime: "/run/containerd/containerd.sock", Nftables: true,
		Host: "store-042-a", Others: []string{"store-042-b"}, Data: t.TempDir(),
	}
	for path, text := range map[string]string{
		"/run/systemd/system/x":             "",
		"/proc/meminfo":                     "MemTotal:        2010284 kB\nMemFree:          100000 kB\n",
		"/proc/swaps":                       "Filename\tType\tSize\tUsed\tPriority\n",
		"/proc/filesystems":                 "nodev\tsysfs\nnodev\toverlay\n\text4\n",
		"/proc/net/tcp":                     "  sl  local_address rem_address   st\n   0: 0100007F:0016 00000000:0000 0A 0:0 0:0 0 0 0 1\n   1: 0100007F:192B 0100007F:1F90 01 0:0 0:0 0 0 0 2\n",
		"/proc/sys/kernel/hostname":         "debian\n",
		"/sys/fs/cgroup/cgroup.controllers": "cpuset cpu io memory hugetlb pids\n",
	} {
		f.put(path, text)
	}
	return f
}

func (f *fake) put(path, text string) {
	require.NoError(f.T, os.MkdirAll(filepath.Dir(f.at(path)), 0o755))
	require.NoError(f.T, os.WriteFile(f.at(path), []byte(text), 0o600))
}

// found is what is wrong, a line each.
func (f *fake) found() (lines []string) {
	for _, c := range f.look(f.Context(), f.needs) {
		for _, finding := range c.Findings {
			line := c.Name + ": " + finding.What + " → " + finding.Hint
			if finding.Warning {
				line = "warning: " + line
			}
			lines = append(lines, line)
		}
	}
	return lines
}

func TestAMachineThatIsFitIsFit(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	require.Empty(t, f.found())
	require.NoError(t, Refuse(f.look(t.Context(), f.needs)))
}

func TestWhatIsWrongWithAMachine(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		make func(*fake)
		want string
	}{
		{"no systemd", func(f *fake) { require.NoError(f, os.RemoveAll(f.at("/run/systemd"))) }, "systemd: this host does not run systemd → .*boots with it"},
		{"one processor", func(f *fake) { f.cpus = 1 }, "processors and memory: the host has 1 processor, and the node needs 2 → .*worker"},
		{"little memory", func(f *fake) { f.put("/proc/meminfo", "MemTotal: 1000000 kB\n") }, "processors and memory: the host has 976 MB of memory, and the node needs 1700 → .*k3s"},
		{"no room", func(f *fake) { f.free = func(string) (int64, error) { return 5 << 30, nil } }, "disk: /var/lib/containerd has room for 5120 MB, and 10240 MB are needed → make room.*"},
		{"swap", func(f *fake) { f.put("/proc/swaps", "Filename\tType\n/dev/sda2 partition 1 0 -2\n") }, "warning: swap: the host swaps.* → swapoff -a.*"},
		{"a board without the memory controller", func(f *fake) { f.put("/sys/fs/cgroup/cgroup.controllers", "cpuset cpu io pids\n") },
			"cgroups: the kernel's cgroups have no controller memory → boot with cgroup_enable=memory.*"},
		{"no overlay", func(f *fake) {
			f.put("/proc/filesystems", "\text4\n")
			delete(f.says, "overlay")
		}, "kernel: the kernel has no overlay file system.* → install the modules.*"},
		{"overlay as a module", func(f *fake) { f.put("/proc/filesystems", "\text4\n") }, ""},
		{"no nftables", func(f *fake) { delete(f.says, "nft") }, "kernel: the kernel has no nftables.*: nft failed → .*CONFIG_NF_TABLES.*"},
		{"no nft", func(f *fake) { f.lacks = "nft" }, "programs: the host lacks nft → .*apt install nftables"},
		{"a port that is taken", func(f *fake) {
			f.put("/proc/net/tcp6", "  sl  local_address\n   0: 00000000000000000000000000000000:192B 0000:0000 0A 0:0\n")
			f.says["port"] = `LISTEN 0 511 *:6443 *:* users:(("nginx",pid=812,fd=6))`
		}, `ports: port 6443, which the API server needs, is taken by "nginx", process 812 → stop it.*ss -ltnp.*`},
		{"a port that nobody knows the owner of", func(f *fake) { f.put("/proc/net/tcp", " sl\n 0: 00000000:280A 0:0 0A 0\n") },
			"ports: port 10250, which the kubelet needs, is taken by something → .*"},
		{"a port of the node itself", func(f *fake) {
			f.put("/proc/net/tcp", " sl\n 0: 00000000:280A 0:0 0A 0\n")
			f.put("/etc/kubernetes/admin.conf", "")
			f.needs.IsNode = true
		}, ""},
		{"kubeadm was here", func(f *fake) { f.put("/etc/kubernetes/admin.conf", "") },
			"other clusters: there is a cluster of kubeadm on this host that Holdfast did not make: /etc/kubernetes/admin.conf exists → .*kubeadm reset"},
		{"k3s was here", func(f *fake) { f.put("/var/lib/rancher/k3s/server/token", "") }, "other clusters: there is a cluster of k3s .* → .*k3s-uninstall.sh.*"},
		{"RKE2 was here", func(f *fake) { f.put("/usr/lib/systemd/system/rke2-server.service", "") }, "other clusters: there is a cluster of RKE2 .* → .*rke2-uninstall.sh"},
		{"k0s was here", func(f *fake) { f.put("/etc/systemd/system/k0sworker.service", "") }, "other clusters: there is a cluster of k0s .* → .*k0s reset"},
		{"Docker is here", func(f *fake) { f.put("/run/containerd/containerd.sock", "") }, "other clusters: another containerd runs on this host.* → .*apt remove.*"},
		{"a start that was cut off", func(f *fake) {
			f.put("/run/containerd/containerd.sock", "")
			f.put(system.UnitDir+"containerd.service", "# Written by Holdfast.\n")
		}, ""},
		{"the name of another", func(f *fake) { f.put("/proc/sys/kernel/hostname", "store-042-b\n") },
			"name: the fleet says that this host is store-042-a, and the machine calls itself store-042-b.* → .*hostnamectl set-hostname store-042-a"},
		{"a clock that nothing sets", func(f *fake) { f.synchronised = func() bool { return false } },
			"clock: the clock says 2026-11-26 08:00:00 UTC, and is not synchronised.* → .*holdfast preflight --accept-clock"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := newFake(t)
			tt.make(f)
			found := f.found()
			if tt.want == "" {
				require.Empty(t, found)
				return
			}
			require.Len(t, found, 1)
			require.Regexp(t, "^"+tt.want+"$", found[0])
			require.Equal(t, strings.HasPrefix(tt.want, "warning: "), Refuse(f.look(t.Context(), f.needs)) == nil)
		})
	}
}

func TestAllThatIsWrongIsSaidAtOnce(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	f.cpus, f.lacks = 1, "losetup"
	f.put("/etc/kubernetes/admin.conf", "")
	f.put("/var/lib/k0s/pki/ca.crt", "")
	require.Len(t, f.found(), 4)
	err := Refuse(f.look(t.Context(), f.needs))
	for _, want := range []string{"1 processor", "losetup", "kubeadm", "k0s"} {
		require.ErrorContains(t, err, want)
	}
	var wrong *system.PreflightError
	require.ErrorAs(t, err, &wrong)
}

func TestVersionOneOfCgroups(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	require.NoError(t, os.Remove(f.at("/sys/fs/cgroup/cgroup.controllers")))
	require.Regexp(t, "the kernel has no cgroups", f.found()[0])
	table := "#subsys_name\thierarchy\tnum_cgroups\tenabled\n"
	for _, name := range []string{"cpu", "cpuacct", "cpuset", "devices", "freezer", "memory"} {
		table += name + "\t1\t1\t1\n"
	}
	f.put("/proc/cgroups", table+"pids\t1\t1\t0\n")
	require.Len(t, f.found(), 2)
	require.Regexp(t, "no controller pids", f.found()[0])
	f.put("/proc/cgroups", table+"pids\t1\t1\t1\n")
	require.Len(t, f.found(), 1)
	require.Regexp(t, "^warning: .*version 1 of cgroups", f.found()[0])
}

func TestAClockIsAcceptedUntilItGoesBack(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	f.synchronised = func() bool { return false }
	require.NoError(t, AcceptClock(f.needs.Data))
	f.date = time.Now().Add(time.Second)
	require.Empty(t, f.found())
	f.date = time.Date(1970, 1, 1, 0, 1, 0, 0, time.UTC)
	require.Regexp(t, "the clock says 1970-01-01 00:01:00 UTC, which is before it was accepted as right", f.found()[0])
	require.NoError(t, os.WriteFile(filepath.Join(f.needs.Data, acceptance), []byte("yes"), 0o600))
	require.Regexp(t, "not synchronised", f.found()[0], "that is no time")
}

// TestThisMachine sees that real files and programs are read as they are.
func TestThisMachine(t *testing.T) {
	t.Parallel()
	m := thisMachine()
	require.NoError(t, m.find("sh"))
	require.Error(t, m.find("no-program-of-this-name"))
	free, err := m.free("/nowhere/at/all")
	require.NoError(t, err)
	require.Positive(t, free)
	require.Empty(t, m.memory(Needs{Memory: mega}))
	require.Len(t, m.memory(Needs{Memory: 1 << 50}), 1)
	require.Len(t, m.disk(Needs{Room: map[string]int64{"/var": 1 << 60}}), 1)
	l := listen(t)
	require.Len(t, m.ports(t.Context(), Needs{Ports: []Port{{l, "a test"}}}), 1)
}

// listen listens on a port for as long as the test runs.
func listen(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { l.Close() })
	return l.Addr().(*net.TCPAddr).Port
}
