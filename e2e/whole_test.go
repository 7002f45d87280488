//go:build e2e

package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// cluster is what must not be lost of a cluster once it was whole.
type cluster struct {
	uid  string   // of a namespace that is as old as the cluster
	kept []string // names of ConfigMaps that people made
}

// whole tells whether the site is as the fleet says: all of its hosts and no
// others are nodes of its version, and Ready; etcd has the control plane's and no others; the app
// answers on each; who was removed has taken itself apart; nothing was lost.
func (s *site) whole(ctx context.Context, c *cluster) error {
	for _, check := range []func(context.Context) error{s.settled, s.nodes, s.members, s.answers, s.left} {
		if err := check(ctx); err != nil {
			return err
		}
	}
	return s.holds(ctx, c)
}

func (s *site) settled(ctx context.Context) error {
	for _, name := range s.active() {
		if err := s.runs(name); err != nil {
			return err
		}
		if out, err := s.machines[name].Run(ctx, "curl", "-sf", "--max-time", "5", "http://127.0.0.1:10248/healthz"); err != nil {
			return fmt.Errorf("kubelet: %w: %s", err, out)
		}
	}
	return nil
}

// each runs a script on each host of the control plane, and wants all to print the same lines.
func (s *site) each(ctx context.Context, script string, want []string) error {
	for _, name := range s.controlPlane() {
		out, err := s.machines[name].Run(ctx, "sh", "-c", script)
		got := strings.Fields(out)
		slices.Sort(got)
		if err != nil || !slices.Equal(got, want) {
			return errors.Join(err, fmt.Errorf("%s says %q, not %q", name, out, want))
		}
	}
	return nil
}

func (s *site) nodes(ctx context.Context) error {
	var want []string
	for _, name := range s.active() {
		want = append(want, hostName(name)+"="+s.hq.version+"=True")
	}
	return s.each(ctx, kubectl+`kubectl get nodes -o jsonpath='{range .items[*]}{.metadata.name}={.status.nodeInfo.kubeletVersion}={.status.conditions[?(@.type=="Ready")].status}{"\n"}{end}'`, want)
}

func (s *site) members(ctx context.Context) error {
	var want []string
	for _, name := range s.controlPlane() {
		want = append(want, hostName(name))
	}
	return s.each(ctx, etcdMembers, want)
}

func (s *site) answers(ctx context.Context) error {
	for _, name := range s.active() {
		if out, err := s.machines[name].Run(ctx, "curl", "-sf", "--max-time", "5", "http://"+serviceAddress); err != nil {
			return fmt.Errorf("app: %w: %s", err, out)
		}
	}
	return nil
}

func (s *site) left(ctx context.Context) error {
	for _, name := range s.removed {
		if out, err := s.machines[name].Run(ctx, "sh", "-c", `! test -e /var/lib/holdfast/kubeadm && ! pgrep -fa '[k]ubelet|[k]ube-apiserver|[e]tcd'`); err != nil {
			return fmt.Errorf("removed: %w: %s", err, out)
		}
	}
	return nil
}

// holds tells whether the cluster is the one that it was and has all that people put
// into it, and puts more into it.
func (s *site) holds(ctx context.Context, c *cluster) error {
	var want []string
	for _, name := range c.kept {
		want = append(want, "configmap/"+name)
	}
	if len(want) > 0 {
		if err := s.each(ctx, kubectl+`kubectl get -o name `+strings.Join(want, " "), want); err != nil {
			return err
		}
	}
	next := fmt.Sprintf("kept-%03d", len(c.kept))
	first := s.machines[s.controlPlane()[0]]
	out, err := first.Run(ctx, "sh", "-c", kubectl+`echo '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"'$1'"}}' | kubectl apply -f - >&2 && kubectl get namespace kube-system -o jsonpath='{.metadata.uid}'`, "sh", next)
	if err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	c.kept = append(c.kept, next)
	uid := out[strings.LastIndexByte(out, '\n')+1:]
	if c.uid != "" && c.uid != uid {
		return fmt.Errorf("another cluster: it was %s, and is %s", c.uid, uid)
	}
	c.uid = uid
	return nil
}

// remove takes machines out of the cluster, by one commit.
func (s *site) remove(machines ...string) error {
	for _, name := range machines {
		if err := s.hq.remove(sitePath, hostName(name)); err != nil {
			return err
		}
		delete(s.roles, name)
		s.removed = append(s.removed, name)
	}
	return s.hq.commit("Remove " + strings.Join(machines, ", "))
}

func (s *site) active() []string { return slices.Sorted(maps.Keys(s.roles)) }

func (s *site) controlPlane() []string {
	return slices.DeleteFunc(s.active(), func(name string) bool { return s.roles[name] != "control-plane" })
}
