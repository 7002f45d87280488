package preflight

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/holdfast-fleet/holdfast/bootstrap/system"
	"github.com/holdfast-fleet/holdfast/durable"
)

// traces are what tools leave on a machine that they made a cluster on, and what takes that away.
var traces = []struct {
	tool, remedy string
	paths        []string
}{
	{"kubeadm", "kubeadm reset", []string{"/etc/kubernetes/admin.conf", "/etc/kubernetes/kubelet.conf", "/etc/kubernetes/manifests/kube-apiserver.yaml", "/var/lib/etcd/member"}},
	{"k3s", "k3s-uninstall.sh, or k3s-agent-uninstall.sh", []string{"/var/lib/rancher/k3s/server", "/var/lib/rancher/k3s/agent/etc", "/etc/systemd/system/k3s.service", "/etc/systemd/system/k3s-agent.service", "/usr/local/bin/k3s"}},
	{"RKE2", "rke2-uninstall.sh", []string{
		"/var/lib/rancher/rke2/server", "/var/lib/rancher/rke2/agent/etc", "/usr/local/bin/rke2", "/etc/systemd/system/rke2-server.service", "/etc/systemd/system/rke2-agent.service",
		"/usr/local/lib/systemd/system/rke2-server.service", "/usr/lib/systemd/system/rke2-server.service",
	}},
	{"k0s", "k0s stop && k0s reset", []string{"/var/lib/k0s/pki", "/etc/systemd/system/k0scontroller.service", "/etc/systemd/system/k0sworker.service", "/usr/local/bin/k0s"}},
	{"MicroK8s", "snap remove --purge microk8s", []string{"/var/snap/microk8s"}},
}

// leftovers finds clusters that something else made, and containerds.
func (m machine) leftovers(n Needs) (found []Finding) {
	for _, t := range traces {
		at := slices.IndexFunc(t.paths, func(path string) bool { return system.Exists(m.at(path)) })
		if at >= 0 {
			found = append(found, Finding{What: fmt.Sprintf("there is a cluster of %s on this host that Holdfast did not make: %s exists", t.tool, t.paths[at]), Hint: "if it is not needed any more, remove it with: " + t.remedy})
		}
	}
	if n.Runtime != "" && system.Exists(m.at(n.Runtime)) && !m.ours("containerd.service") {
		found = append(found, Finding{What: "another containerd runs on this host, such as Docker's: " + n.Runtime + " exists", Hint: "the node has its own in its place: remove the other with what uses it, such as apt remove containerd docker.io"})
	}
	return found
}

// ours tells whether a unit is one that was written here.
func (m machine) ours(unit string) bool {
	data, err := os.ReadFile(m.at(system.UnitDir + unit))
	return err == nil && strings.HasPrefix(string(data), "# Written by Holdfast.")
}

// names finds a machine that is named like another host of its site: a copied disk, or cables that were swapped.
func (m machine) names(n Needs) []Finding {
	data, err := os.ReadFile(m.at("/proc/sys/kernel/hostname"))
	name := strings.TrimSpace(string(data))
	if err != nil || name == n.Host || !slices.Contains(n.Others, name) {
		return nil
	}
	return []Finding{{What: fmt.Sprintf("the fleet says that this host is %s, and the machine calls itself %s, which is another host of its site", n.Host, name), Hint: "see which machine this is; then correct spec.identity in the hosts' files, or: hostnamectl set-hostname " + n.Host}}
}

const acceptance = "clock-accepted"

// AcceptClock notes that an operator looked at the clock, which is right by now.
func AcceptClock(data string) error {
	return durable.WriteFile(filepath.Join(data, acceptance), []byte(time.Now().UTC().Format(time.RFC3339)+"\n"), 0o600)
}

// clock refuses one that nobody vouches for: certificates are dated by it. A clock
// that is earlier than when an operator accepted it is another one, say after a night without a battery.
func (m machine) clock(n Needs) []Finding {
	if m.synchronised() {
		return nil
	}
	data, err := os.ReadFile(filepath.Join(n.Data, acceptance))
	accepted, bad := time.Parse(time.RFC3339, strings.TrimSpace(string(data)))
	now := m.now().UTC().Format("2006-01-02 15:04:05 UTC")
	switch {
	case err == nil && bad == nil && !m.now().Before(accepted):
		return nil
	case err == nil && bad == nil:
		return []Finding{{What: fmt.Sprintf("the clock says %s, which is before it was accepted as right", now), Hint: "set it, then: holdfast preflight --accept-clock"}}
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return []Finding{{What: err.Error(), Hint: "holdfast preflight --accept-clock writes it anew"}}
	}
	return []Finding{{What: fmt.Sprintf("the clock says %s, and is not synchronised: certificates would be dated by it", now), Hint: "let it be synchronised, by systemd-timesyncd or chrony; or, if it is right: holdfast preflight --accept-clock"}}
}
