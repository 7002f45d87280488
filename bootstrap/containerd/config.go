package containerd

import (
	"fmt"
	"path/filepath"
)

// Config is what a containerd of ours depends on.
type Config struct {
	Root, State string // folders
	Socket      string
	Programs    string // folder of shim, runc and the plugins of networks
	Networks    string // folder of the configuration of networks
	Hosts       string // folder of registry hosts
	Registries  Registries
	Pause       string // image of the pods' sandboxes: repository@digest

	SystemdCgroup bool // systemd owns the tree of cgroups
	Guest         bool // the machine has others, and all of this one's is below its own folders
}

// Text is of version 3, as in docs/man/containerd-config.toml.5.md and docs/cri/config.md of containerd 2. What is
// pulled is on disk before it counts as unpacked: containerd takes programs for whole that a power cut left empty.
func (c Config) Text() string {
	plugins, sockets, runtime, runc := c.apart()
	return fmt.Sprintf(`%[1]sversion = 3
root = "%[2]s"
state = "%[3]s"
oom_score = 0
%[4]s
[grpc]
address = "%[5]s"

%[6]s[plugins."io.containerd.cri.v1.images"]
snapshotter = "overlayfs"
image_pull_with_sync_fs = true

[plugins."io.containerd.cri.v1.images".pinned_images]
sandbox = "%[7]s"

%[8]s
[plugins."io.containerd.cri.v1.runtime"]
restrict_oom_score_adj = true
tolerate_missing_hugetlb_controller = true
%[9]s
[plugins."io.containerd.cri.v1.runtime".cni]
bin_dirs = ["%[10]s"]
conf_dir = "%[11]s"
use_internal_loopback = true

[plugins."io.containerd.cri.v1.runtime".containerd]
default_runtime_name = "runc"

[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
runtime_path = "%[10]s/containerd-shim-runc-v2"

[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc.options]
BinaryName = "%[10]s/runc"
SystemdCgroup = %[12]t
%[13]s`, written, c.Root, c.State, plugins, c.Socket, sockets, c.Pause, c.Registries.Config(c.Hosts), runtime, c.Programs, c.Networks, c.SystemdCgroup, runc)
}

// apart are the lines that keep a guest apart from another containerd of the machine.
func (c Config) apart() (plugins, sockets, runtime, runc string) {
	if !c.Guest {
		return "", "", "", ""
	}
	run := filepath.Dir(c.State)
	plugins = `disabled_plugins = ["io.containerd.internal.v1.opt", "io.containerd.nri.v1.nri", "io.containerd.snapshotter.v1.native",
  "io.containerd.snapshotter.v1.blockfile", "io.containerd.snapshotter.v1.erofs", "io.containerd.tracing.processor.v1.otlp"]
`
	sockets = fmt.Sprintf("[ttrpc]\naddress = %q\n\n[plugins.\"io.containerd.shim.v1.manager\"]\nsocket_dir = %q\n\n", c.Socket+".ttrpc", filepath.Join(run, "s"))
	runtime = "netns_mounts_under_state_dir = true\ndisable_apparmor = true\ncdi_spec_dirs = []\n"
	return plugins, sockets, runtime, fmt.Sprintf("Root = %q\n", filepath.Join(run, "runc"))
}
