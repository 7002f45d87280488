package site

import (
	"context"
	"errors"
	"fmt"

	"github.com/holdfast-fleet/holdfast/bootstrap/kubeapi"
	"github.com/holdfast-fleet/holdfast/bootstrap/system"
	"github.com/holdfast-fleet/holdfast/peers"
)

// LetGo says what a removed host waits for: that the control plane that stays has no
// node of its name any more, as the first answer of its API servers says.
func (h Hosts) LetGo(ctx context.Context, open func(peers.Member) (*kubeapi.Server, error)) error {
	var errs []error
	for _, m := range h.Servers() {
		if m.Network.Address == "" {
			continue
		}
		server, err := open(m)
		if err != nil {
			return err
		}
		err = server.Get(ctx, "/api/v1/nodes/"+h.Host, nil)
		server.Close()
		if kubeapi.NotFound(err) {
			return nil
		}
		errs = append(errs, err)
	}
	if len(errs) == 0 {
		return system.Refuse("this host is removed, and no control-plane host is left that could let it go: it stays as it is",
			"to take it apart, run holdfast reset on it")
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("ask whether the cluster has let this host go: %w", err)
	}
	return system.Refuse("this host is removed, and waits for its cluster to let it go", "look at a control-plane host that stays: holdfast status")
}
