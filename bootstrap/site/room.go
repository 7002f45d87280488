package site

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/holdfast-fleet/holdfast/bootstrap/kubeapi"
)

// roomTime is how long the pods of a host have to move, and how long budgets for
// disruptions may hold them there.
const roomTime = 2 * time.Minute

// Kubectl runs a command of the cluster's kubectl, as an administrator.
type Kubectl func(ctx context.Context, words ...string) error

// Drain moves a node's pods, and lets none come to it. Where not all have moved in time,
// the error says what held them. Who does not answer cannot move them. Where ctx ends
// before, nothing is known of them.
func (kubectl Kubectl) Drain(ctx context.Context, node kubeapi.Node) error {
	if ready, _ := node.Ready(); !ready {
		return nil
	}
	err := kubectl(ctx, "drain", node.Metadata.Name, "--ignore-daemonsets", "--delete-emptydir-data", "--force", "--timeout="+roomTime.String())
	if ctx.Err() != nil {
		return fmt.Errorf("moving its pods was cut off: %w", context.Cause(ctx))
	}
	if err != nil {
		return fmt.Errorf("its pods did not move within %s: %w", roomTime, err)
	}
	return nil
}

// Uncordon lets pods come to a node again.
func (kubectl Kubectl) Uncordon(ctx context.Context, name string) error {
	return kubectl(ctx, "uncordon", name)
}

// Admin is an administrator of a cluster.
type Admin struct {
	*kubeapi.Server
	Kubectl
}

// MakeRoom moves the pods of a host that is away, unless there is no other that could
// take them. Where they do not move in time, or nobody leads the controllers that would make them
// anew, the host is not away any more.
func (a Admin) MakeRoom(ctx context.Context, name string) error {
	nodes, err := a.Nodes(ctx)
	if err != nil {
		return err
	}
	elsewhere := slices.ContainsFunc(nodes, func(o kubeapi.Node) bool {
		ready, _ := o.Ready()
		return ready && o.Metadata.Name != name && !o.Spec.Unschedulable
	})
	i := indexOf(nodes, name)
	if i < 0 || !elsewhere {
		return nil
	}
	err = a.led(ctx, leadTime)
	if err == nil {
		err = a.Drain(ctx, nodes[i])
	}
	if err != nil {
		return errors.Join(err, a.Back(ctx, name))
	}
	return nil
}

// The lease of who leads the controllers, for how long somebody must have done so, and how long there may
// be nobody: a lease ends 15 s after it was renewed last, and the next to lead tries every 2 s.
const (
	controllersLease = "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases/kube-controller-manager"
	leadsFor         = 15 * time.Second
	leadTime         = time.Minute
)

// led waits until somebody leads the cluster's controllers, see https://kubernetes.io/docs/concepts/architecture/leases/,
// and has had the time to start them: without them pods that go are not made anew elsewhere, and services go on to send
// to them. Who leads renews its lease, which is seen here by that it changes: the times in it are of a clock that may
// differ from this host's. Where there is no lease nobody has to lead.
func (a Admin) led(ctx context.Context, within time.Duration) error {
	type lease struct {
		Spec struct {
			HolderIdentity         string
			AcquireTime, RenewTime time.Time
		}
	}
	var before lease
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	enough := time.After(within)
	for {
		var now lease
		err := a.Get(ctx, controllersLease, &now)
		if kubeapi.NotFound(err) {
			return nil
		}
		renewed := now.Spec.HolderIdentity == before.Spec.HolderIdentity && now != before
		leads := now.Spec.RenewTime.Sub(now.Spec.AcquireTime)
		if err == nil && renewed && (leads >= leadsFor || leads < 0) { // its clock was put back
			return nil
		}
		before = now
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-enough:
			why := fmt.Errorf("its Lease kube-system/kube-controller-manager was not renewed within %s by who has held it for %s", within, leadsFor)
			return Wait("nobody leads the cluster's controllers, and pods that go would not come back: %w", errors.Join(why, err))
		case <-tick.C:
		}
	}
}

// Back notes that a host is not away any more, and lets pods come to it again, unless
// somebody had cordoned it before.
func (a Admin) Back(ctx context.Context, name string) error {
	return a.back(ctx, func(away string) bool { return away == name })
}

// AllBack does so for all that a backup says are away: that was when it was taken.
func (a Admin) AllBack(ctx context.Context) error {
	return a.back(ctx, func(string) bool { return true })
}

func (a Admin) back(ctx context.Context, is func(away string) bool) error {
	r, _, err := readRegister(ctx, a.Server)
	if err != nil {
		return err
	}
	maps.DeleteFunc(r.Data, func(away, _ string) bool { return !is(away) })
	if len(r.Data) == 0 {
		return nil
	}
	nodes, err := a.Nodes(ctx)
	if err != nil {
		return err
	}
	for name, version := range r.Data {
		if indexOf(nodes, name) < 0 || strings.HasSuffix(version, cordoned) {
			continue
		}
		if err := a.Uncordon(ctx, name); err != nil {
			return err
		}
	}
	return change(ctx, a.Server, nodes, func(away map[string]string) error {
		maps.DeleteFunc(away, func(name, _ string) bool { return is(name) })
		return nil
	})
}
