package solo

import (
	"context"
	"fmt"
	"os/exec"
	"strings"
	"time"

	"github.com/holdfast-fleet/holdfast/bootstrap/kubeapi"
	"github.com/holdfast-fleet/holdfast/bootstrap/system"
)

// drainTime is how long the pods of a host that goes have.
const drainTime = 2 * time.Minute

// letGo carries out what the fleet says of removed hosts: their pods move, then their
// nodes are gone, and stay away. Each step can be taken again.
func (n *node) letGo(ctx context.Context) error {
	server, err := kubeapi.Open(n.Kubeconfig, n.Cluster.APIPort)
	if err != nil {
		return err
	}
	defer server.Close()
	for _, name := range n.Removed {
		var found kubeapi.Node
		if err := server.Get(ctx, "/api/v1/nodes/"+name, &found); kubeapi.NotFound(err) {
			continue
		} else if err != nil {
			return err
		}
		n.log.Info("host is removed from the cluster", "host", name)
		if ready, _ := found.Ready(); ready { // who does not answer cannot move its pods
			_, err := run(ctx, n.Kubectl(n.Program, n.Kubeconfig, "drain", name, "--ignore-daemonsets", "--delete-emptydir-data", "--force", "--timeout="+drainTime.String()))
			if err != nil { // what has not moved in time is ended with the node
				n.log.Warn("not all pods moved in time", "host", name, "error", err)
			}
		}
		if err := server.Delete(ctx, "/api/v1/nodes/"+name); err != nil {
			return err
		}
	}
	return server.KeepOut(ctx, n.Removed)
}

// Leave takes this worker apart once its cluster has let it go: there is no node of its
// name any more, as its kubelet is told. Until then its error says what it waits for.
func Leave(ctx context.Context, kind Kind, dir, host string) error {
	state, err := Read(kind, dir)
	if err != nil || !state.Known {
		return err
	}
	if !state.Worker {
		return system.Refuse("this host is removed, and no other one could go on with its cluster: it stays as it is",
			"to take it apart, run holdfast reset on it")
	}
	if err := mayLeave(ctx, kind, state.Program, host); err != nil {
		return err
	}
	return Reset(ctx, kind, dir)
}

// mayLeave says what a worker waits for whose node the cluster still has. One without a
// kubelet's credentials never was a node, or was being taken apart when it was cut off.
func mayLeave(ctx context.Context, kind Kind, program, host string) error {
	if !system.Exists(kind.Kubelet) {
		return nil
	}
	left, err := run(ctx, kind.Kubectl(program, kind.Kubelet, "get", "node", host, "--ignore-not-found", "--output=name"))
	if err != nil {
		return fmt.Errorf("ask whether the cluster has let this host go: %w", err)
	}
	if strings.TrimSpace(left) != "" {
		return system.Refuse("this host is removed, and waits for its cluster to let it go", "look at the host of the control plane: holdfast status")
	}
	return nil
}

func run(ctx context.Context, words []string) (string, error) {
	out, err := exec.CommandContext(ctx, words[0], words[1:]...).CombinedOutput() //nolint:gosec // the distribution's own program
	if err != nil {
		return "", fmt.Errorf("%s: %w: %s", strings.Join(words, " "), err, system.Reason(string(out)))
	}
	return string(out), nil
}
