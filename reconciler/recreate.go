package reconciler

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/holdfast-fleet/holdfast/render"
)

// applyLayer writes a layer. Objects that cannot be changed while they live are
// made anew if a commit names each of them.
func (s *session) applyLayer(ctx context.Context, site string, l render.Layer,
	write func(context.Context, string, render.Layer) ([]Change, error)) ([]Change, error) {
	changes, err := write(ctx, site, l)
	immutable := new(ImmutableError)
	if !errors.As(err, &immutable) {
		return changes, err
	}
	var asks []string
	for _, o := range immutable.Names() {
		if !allows(s.intents.Recreate, o) {
			asks = append(asks, "Allow-Recreate: "+named(o))
		}
	}
	if len(asks) > 0 {
		return changes, &needsRecreate{err, asks}
	}
	anew, err := s.cluster.Recreate(ctx, site, l, immutable.Names())
	for _, c := range anew {
		s.Log.Info("object made anew", "layer", l.Name, "object", c.Object.String(), "action", string(c.Action))
	}
	if err != nil {
		return append(changes, anew...), fmt.Errorf("recreate: %w", err)
	}
	again, err := s.cluster.Apply(ctx, site, l)
	return append(append(changes, anew...), again...), err
}

// needsRecreate reports objects that only deleting them can change.
type needsRecreate struct {
	error
	asks []string
}

func (n *needsRecreate) Unwrap() error { return n.error }

// Hint says how to order that they are made anew.
func (n *needsRecreate) Hint() string {
	return "give it another name; or let it be deleted and made anew: commit with the trailer " + strings.Join(n.asks, ", ")
}
