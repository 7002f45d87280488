package site

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/holdfast-fleet/holdfast/bootstrap/kubeapi"
	"github.com/holdfast-fleet/holdfast/bootstrap/system"
	"github.com/holdfast-fleet/holdfast/fleet"
	"github.com/holdfast-fleet/holdfast/peers"
)

// ErrNotReady tells a peer to ask another, or later.
var ErrNotReady = errors.New("is not of a control plane that others can join through just now")

// Tell tells the first of the other servers that answers.
func (h Hosts) Tell(ctx context.Context, tell func(context.Context, peers.Member) error) error {
	errs := []error{errors.New("no host of the control plane answers")}
	for _, m := range h.Servers() {
		err := tell(ctx, m)
		var refused *peers.RefusedError
		if err == nil || errors.As(err, &refused) && refused.Reason != ErrNotReady.Error() {
			return err
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// MayJoin refuses a member whose cluster is of another version: it is upgraded first, host by host.
func (h Hosts) MayJoin(ctx context.Context, through peers.Member, version string) error {
	known, err := h.Peers.Cluster(ctx, through)
	if err != nil || known.Version == version {
		return err
	}
	if !known.Gives {
		return fmt.Errorf("%s %w", through.Name, ErrNotReady)
	}
	runs := known.Version
	if runs == "" {
		runs = "another version just now"
	}
	return system.Refuse(fmt.Sprintf("%s runs %s, and this host is to join with %s", through.Name, runs, version),
		"it joins by itself once the control plane is upgraded; look there: holdfast status")
}

// LeaveFor asks the others, with leave, to let this host go, whose role has changed, and
// which is to join the cluster of a version anew. Where none does it stays as it is.
func (h Hosts) LeaveFor(ctx context.Context, version string, leave func(peers.Member) error) error {
	err := h.Tell(ctx, func(ctx context.Context, m peers.Member) error {
		if err := h.MayJoin(ctx, m, version); err != nil { // it could not come back
			return err
		}
		return leave(m)
	})
	if err == nil {
		return nil
	}
	return errors.Join(system.Refuse("the role of this host has changed, and it stays what it is until another host of the control plane lets it go",
		"see that another one is in the control plane already, and answers; or set the role back"), err)
}

// MayBeLetGo returns which of the nodes is that of a member who asks to be let go, or
// -1 if there is none any more: it asks once more. A member whose node has the role that
// the fleet says is refused, unless it goes back to a version as the cluster does.
func MayBeLetGo(nodes []kubeapi.Node, who peers.Member, goesBack bool) (int, error) {
	i := slices.IndexFunc(nodes, func(o kubeapi.Node) bool { return o.Metadata.Name == who.Name })
	if i >= 0 && !goesBack && nodes[i].ControlPlane() == (who.Role == fleet.ControlPlane) {
		return i, fmt.Errorf("the role of %s has not changed, as far as this host knows", who.Name)
	}
	return i, nil
}
