package reconciler

import (
	"context"
	"errors"
	"slices"

	"github.com/holdfast-fleet/holdfast/render"
)

// guards tells whether an object decides about requests for others: a webhook's
// configuration, or a policy of admission. Nothing ever decides about requests for these.
func (o Object) guards() bool { return o.Group == "admissionregistration.k8s.io" }

// unguard follows a failure on the way to t. What left the fleet goes only once t is
// confirmed; webhooks and policies that are left over, and refuse what is applied,
// would never let it be. So these go before, but for what takes intent, which is then
// said to be held. planned are the layers that were to be applied for t.
func (s *session) unguard(ctx context.Context, t target, planned []render.Layer, err error) {
	if !s.guarded && !errors.Is(err, ErrGuarded) || ctx.Err() != nil {
		return
	}
	t.Intents = s.intents
	now := t
	now.Desired.Cluster.Layers = planned
	desired, bad := s.inventoryOf(t)
	stays, worse := s.inventoryOf(now)
	if bad != nil || worse != nil { // of the same layers, it would have failed before
		return
	}
	doomed, held, bad := s.leftOver(ctx, t, desired.union(stays))
	if bad != nil {
		s.Log.Warn("what refuses objects is not looked for", "error", bad)
		return
	}
	if slices.ContainsFunc(held, func(h HeldObject) bool { return h.guards() }) {
		s.sayHeld(held)
	}
	doomed = slices.DeleteFunc(doomed, func(o Object) bool { return !o.guards() })
	if len(doomed) == 0 {
		return
	}
	clear(s.applied) // who goes back to a layer that had one of them applies all of it
	if _, err := s.deleteAll(ctx, t, doomed); err != nil {
		s.Log.Warn("what refuses objects, and is to go, does not", "error", err)
	}
}
