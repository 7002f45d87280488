package embedded

import (
	"context"
	"errors"
	"fmt"
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

// Discard is Reset of what need not end in an orderly way.
func Discard(ctx context.Context, dir string) error {
	pid := holder(dir)
	if pid > 0 {
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
			return fmt.Errorf("end supervisor %d: %w", pid, err)
		}
	}
	for pid > 0 && holder(dir) == pid {
		if err := pause(ctx); err != nil {
			return fmt.Errorf("wait for supervisor %d to end: %w", pid, err)
		}
	}
	return Reset(ctx, dir)
}
