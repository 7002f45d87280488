package embedded

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// trial changes the processes of a control plane into those of one to try
// objects on, which is thrown away:
//   - it forgets what it was told when the machine loses power;
//   - it answers the same to the same: the only controllers that run make the
//     service accounts that pods need, and count what quotas limit; no other
//     changes objects behind the back of who applied them;
//   - it calls nobody, for what is tried on it is not trusted yet: webhooks,
//     conversions and aggregated APIs fail at once.
func (n *node) trial(list []process) []process {
	egress := n.path("etc", "egress.yaml")
	for i := range list {
		p := &list[i]
		switch p.Name {
		case "etcd":
			p.Args = append(p.Args, "--unsafe-no-fsync")
		case "kube-apiserver":
			p.Args = append(p.Args, "--egress-selector-config-file="+egress)
			p.files = append(p.files, egress)
		case "kube-controller-manager":
			p.Args = append(p.Args, "--controllers=serviceaccount-controller,resourcequota-controller")
		}
	}
	return list
}

// egress sends what the API server would ask others to where nobody listens:
// https://kubernetes.io/docs/tasks/extend-kubernetes/setup-konnectivity/
func (n *node) egress() string {
	return strings.ReplaceAll(strings.TrimLeft(`
apiVersion: apiserver.k8s.io/v1beta1
kind: EgressSelectorConfiguration
egressSelections:
- name: cluster
  connection:
    proxyProtocol: HTTPConnect
    transport: {uds: {udsName: NOWHERE}}
- name: controlplane
  connection:
    proxyProtocol: HTTPConnect
    transport: {uds: {udsName: NOWHERE}}
`, "\n"), "NOWHERE", n.path("run", "nowhere"))
}

// Discard is Reset of what need not end in an orderly way, and may be just about to start.
func Discard(ctx context.Context, dir string) error {
	for pids := supervisorsOf(dir); len(pids) > 0; pids = supervisorsOf(dir) {
		for _, pid := range pids {
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
				return fmt.Errorf("end supervisor %d: %w", pid, err)
			}
		}
		if err := pause(ctx); err != nil {
			return fmt.Errorf("wait for supervisors %v to end: %w", pids, err)
		}
	}
	return Reset(ctx, dir)
}

// supervisorsOf lists the processes that were started to supervise dir: one that is
// new holds no lock yet.
func supervisorsOf(dir string) (pids []int) {
	files, _ := filepath.Glob("/proc/[0-9]*/cmdline") // the pattern is good
	for _, file := range files {
		line, err := os.ReadFile(file)
		if err != nil || !slices.Contains(strings.Split(string(line), "\x00"), "--config="+configFile(dir)) {
			continue
		}
		if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file))); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}

// configFile is what a supervisor of dir is started with.
func configFile(dir string) string { return filepath.Join(dir, "etc", "node.json") }
