package site

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/holdfast-fleet/holdfast/bootstrap/kubeapi"
	"github.com/holdfast-fleet/holdfast/fleet"
)

// The hosts of a site agree in the cluster who of them is away for an upgrade: a
// ConfigMap says who, and for which version. It is changed only by who read its newest
// state. A host that fails while it is away stays in it, and the others wait: what was
// bad for one is not done to the next. Nodes that are gone are forgotten.
const (
	registerFolder = "/api/v1/namespaces/kube-system/configmaps"
	registerName   = "holdfast-upgrade"
)

type register struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Metadata   struct {
		Name            string `json:"name"`
		ResourceVersion string `json:"resourceVersion,omitempty"`
	} `json:"metadata"`
	Data map[string]string `json:"data"` // host → version
}

// cordoned follows the version of a host that somebody had cordoned before.
const cordoned = " was cordoned"

// Enter notes that a host is away for a version, if it may be: of the control plane one
// at a time, while nobody else is; then workers, no more than limit that are away or not
// Ready. The error of one that has to wait says for what.
func Enter(ctx context.Context, server *kubeapi.Server, name, version string, limit int) error {
	nodes, err := server.Nodes(ctx)
	if err != nil {
		return err
	}
	return change(ctx, server, nodes, func(away map[string]string) error {
		if away[name] != "" {
			return nil
		}
		if err := mayLeave(name, version, away, nodes, limit); err != nil {
			return err
		}
		away[name] = version
		if i := indexOf(nodes, name); i >= 0 && nodes[i].Spec.Unschedulable {
			away[name] += cordoned
		}
		return nil
	})
}

// change changes who is away. Where somebody else does at the same time, it fails.
func change(ctx context.Context, server *kubeapi.Server, nodes []kubeapi.Node, by func(away map[string]string) error) error {
	r, found, err := readRegister(ctx, server)
	if err != nil {
		return err
	}
	for name := range r.Data {
		if indexOf(nodes, name) < 0 {
			delete(r.Data, name)
		}
	}
	if err := by(r.Data); err != nil {
		return err
	}
	method, path := http.MethodPut, registerFolder+"/"+registerName
	if !found {
		method, path = http.MethodPost, registerFolder
	}
	if err := server.Send(ctx, method, path, r); kubeapi.Conflict(err) {
		return Wait("another host changed who is away at the same time")
	} else if err != nil {
		return err
	}
	return nil
}

func readRegister(ctx context.Context, server *kubeapi.Server) (r register, found bool, err error) {
	err = server.Get(ctx, registerFolder+"/"+registerName, &r)
	found = err == nil
	if kubeapi.NotFound(err) {
		r, err = register{APIVersion: "v1", Kind: "ConfigMap"}, nil
		r.Metadata.Name = registerName
	}
	if r.Data == nil {
		r.Data = map[string]string{}
	}
	return r, found, err
}

func indexOf(nodes []kubeapi.Node, name string) int {
	return slices.IndexFunc(nodes, func(o kubeapi.Node) bool { return o.Metadata.Name == name })
}

// WaitError reports that it is another's turn. It says what is waited for.
type WaitError struct{ error }

// Wait makes one.
func Wait(format string, args ...any) error { return WaitError{Soon(fmt.Errorf(format, args...))} }

func (e WaitError) Unwrap() error { return e.error }

// Hint says that this is no fault.
func (WaitError) Hint() string { return "it goes on by itself once that is over" }

// Soon marks an error that other hosts end by themselves: it is worth to ask them often.
func Soon(err error) error { return soonError{err} }

type soonError struct{ error }

func (e soonError) Unwrap() error { return e.error }

// Poll is how often it is worth to ask.
func (soonError) Poll() time.Duration { return 10 * time.Second }

// mayLeave tells whether a host may be away.
func mayLeave(name, version string, away map[string]string, nodes []kubeapi.Node, limit int) error {
	self := indexOf(nodes, name)
	if self < 0 {
		return fmt.Errorf("the cluster has no node %s", name)
	}
	var gone []string
	for i := range nodes {
		o, other := &nodes[i], nodes[i].Metadata.Name
		if i == self {
			continue
		}
		ready, _ := o.Ready()
		isAway := away[other] != ""
		switch {
		case isAway && (nodes[self].ControlPlane() || o.ControlPlane()):
			return Wait("%s is being upgraded just now", other)
		case o.ControlPlane() && !ready:
			return Wait("%s of the control plane is not Ready", other)
		case !nodes[self].ControlPlane() && o.ControlPlane() && fleet.VersionOf(o.Status.NodeInfo.KubeletVersion).Compare(fleet.VersionOf(version)) < 0:
			return Wait("%s of the control plane runs %s still", other, o.Status.NodeInfo.KubeletVersion)
		case !o.ControlPlane() && (isAway || !ready):
			gone = append(gone, other)
		}
	}
	if !nodes[self].ControlPlane() && len(gone) >= limit {
		return Wait("%s away or not Ready, and maxUnavailable is %d", strings.Join(gone, ", "), limit)
	}
	return nil
}
