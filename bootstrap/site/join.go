package site

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/holdfast-fleet/holdfast/peers"
)

// askTime is how long a host asks for what joining takes before it looks around again.
const askTime = 5 * time.Minute

// AskToJoin asks a member for what joining takes until it gives that: another host may be
// first, or what this one was before may have to be removed.
func AskToJoin(ctx context.Context, log *slog.Logger, through peers.Member, ask func(context.Context, peers.Member) (peers.Material, error)) (peers.Material, error) {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	tick := time.NewTicker(2 * time.Second)
	defer tick.Stop()
	said := ""
	for {
		material, err := ask(ctx, through)
		var refused *peers.RefusedError
		if !errors.As(err, &refused) {
			return material, err
		}
		if refused.Reason != said {
			log.Info("waits to join", "through", through.Name, "why", refused.Reason)
			said = refused.Reason
		}
		select {
		case <-ctx.Done():
			return nil, err
		case <-tick.C:
		}
	}
}
