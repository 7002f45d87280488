package solo

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"os/exec"
	"slices"
	"strings"

	"github.com/holdfast-fleet/holdfast/bootstrap/kubeapi"
	"github.com/holdfast-fleet/holdfast/bootstrap/site"
	"github.com/holdfast-fleet/holdfast/bootstrap/system"
	"github.com/holdfast-fleet/holdfast/peers"
)

// letGo carries out what the fleet says of removed hosts: their pods move, then their
// nodes are gone, and stay away. Each step can be taken again.
func (n *node) letGo(ctx context.Context) error {
	server, err := kubeapi.Open(n.Kubeconfig, n.Cluster.APIPort)
	if err != nil {
		return err
	}
	defer server.Close()
	out, err := server.KeptOut(ctx)
	if err != nil || slices.Equal(out, slices.Sorted(slices.Values(n.Removed))) || !n.Hosts().ActsForSite(ctx) {
		return err
	}
	for _, name := range n.Removed {
		if err := n.takeOut(ctx, server, name); err != nil {
			return fmt.Errorf("take %s out of the cluster: %w", name, err)
		}
	}
	return server.KeepOut(ctx, n.Removed)
}

// takeOut moves the pods of a host away, and removes its node.
func (n *node) takeOut(ctx context.Context, server *kubeapi.Server, name string) error {
	nodes, err := server.Nodes(ctx)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(nodes, func(o kubeapi.Node) bool { return o.Metadata.Name == name })
	if i < 0 {
		return nil
	}
	if err := mayDoWithout(nodes, i); err != nil {
		return err
	}
	n.log.Info("host is removed from the cluster", "host", name)
	if err := n.kubectl(n.Program).Drain(ctx, nodes[i]); err != nil { // what has not moved in time is ended with the node
		n.log.Warn("not all pods moved in time", "host", name, "error", err)
	}
	return n.remove(ctx, server, n.Program, nodes[i])
}

// kubectl is the one of a program.
func (k Kind) kubectl(program string) site.Kubectl {
	return func(ctx context.Context, words ...string) error {
		_, err := Output(ctx, k.Kubectl(program, k.Kubeconfig, words...))
		return err
	}
}

// remove deletes a node, and of a server its member of etcd, unless the program does that by itself.
func (k Kind) remove(ctx context.Context, server *kubeapi.Server, program string, node kubeapi.Node) error {
	if k.Etcd != nil && node.ControlPlane() {
		if err := k.leaveEtcd(ctx, program, node.Address()); err != nil {
			return err
		}
	}
	return server.Delete(ctx, "/api/v1/nodes/"+node.Metadata.Name)
}

// leaveEtcd takes the member at an address out of etcd, if there is one.
func (k Kind) leaveEtcd(ctx context.Context, program, address string) error {
	out, err := Output(ctx, append([]string{program}, k.Etcd.Members...))
	if err != nil {
		return err
	}
	var list struct{ Members map[string]string }
	if err := json.Unmarshal([]byte(out), &list); err != nil {
		return fmt.Errorf("members of etcd: %w", err)
	}
	for _, peer := range list.Members {
		if at, err := url.Parse(peer); err == nil && at.Hostname() == address {
			_, err := Output(ctx, append([]string{program}, k.Etcd.Leave(address)...))
			return err
		}
	}
	return nil
}

// mayDoWithout refuses to take a server out where too few of those that answer would be
// left for etcd to go on: it needs most of its members.
func mayDoWithout(nodes []kubeapi.Node, server int) error {
	if !nodes[server].ControlPlane() {
		return nil
	}
	left, ready := 0, 0
	for i := range nodes {
		if i == server || !nodes[i].ControlPlane() {
			continue
		}
		left++
		if answers, _ := nodes[i].Ready(); answers {
			ready++
		}
	}
	if 2*ready <= left {
		return site.Wait("%d of the %d servers that would be left are Ready, and etcd needs most of them", ready, left)
	}
	return nil
}

// Leave takes this host apart once its cluster has let it go: there is no node of its
// name any more, as its kubelet is told, or another server of the cluster tells. Until
// then its error says what it waits for.
func Leave(ctx context.Context, kind Kind, dir string, hosts site.Hosts) error {
	state, err := Read(kind, dir)
	if err != nil || !state.Known {
		return err
	}
	if state.Worker {
		err = mayLeave(ctx, kind, state.Program, hosts.Host)
	} else {
		err = mayLeaveOthers(ctx, kind, state, hosts)
	}
	if err != nil {
		return err
	}
	return Reset(ctx, kind, dir)
}

// mayLeaveOthers says what a server waits for. One without an administrator's kubeconfig
// never was ready, or was being taken apart when it was cut off.
func mayLeaveOthers(ctx context.Context, kind Kind, state State, hosts site.Hosts) error {
	if len(hosts.Servers()) > 0 && !system.Exists(kind.Kubeconfig) {
		return nil
	}
	return hosts.LetGo(ctx, func(m peers.Member) (*kubeapi.Server, error) {
		return kubeapi.OpenAt(kind.Kubeconfig, m.Network.Address, state.Cluster.APIPort)
	})
}

// mayLeave says what a worker waits for whose node the cluster still has. One without a
// kubelet's credentials never was a node, or was being taken apart when it was cut off.
func mayLeave(ctx context.Context, kind Kind, program, host string) error {
	if !system.Exists(kind.Kubelet) {
		return nil
	}
	left, err := Output(ctx, kind.Kubectl(program, kind.Kubelet, "get", "node", host, "--ignore-not-found", "--output=name"))
	if err != nil {
		return fmt.Errorf("ask whether the cluster has let this host go: %w", err)
	}
	if strings.TrimSpace(left) != "" {
		return system.Refuse("this host is removed, and waits for its cluster to let it go", "look at the host of the control plane: holdfast status")
	}
	return nil
}

// Output is what a command of the distribution prints; warnings are not part of it.
func Output(ctx context.Context, words []string) (string, error) {
	var said strings.Builder
	cmd := exec.CommandContext(ctx, words[0], words[1:]...) //nolint:gosec // the distribution's own program
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s: %w: %s", strings.Join(words, " "), err, system.Reason(said.String()))
	}
	return string(out), nil
}
