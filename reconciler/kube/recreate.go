package kube

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/holdfast-fleet/holdfast/reconciler"
	"github.com/holdfast-fleet/holdfast/render"
)

// vanishing is how long an object that is made anew may take to go.
const vanishing = time.Minute

// Recreate implements [reconciler.Cluster].
func (c *Cluster) Recreate(ctx context.Context, site string, layer render.Layer, objects []reconciler.Object) ([]reconciler.Change, error) {
	run, err := c.newRun(site, layer)
	if err != nil {
		return nil, err
	}
	if err := run.only(objects); err != nil {
		return nil, err
	}
	was := make([]bool, len(run.items)) // there, before
	var group errgroup.Group
	group.SetLimit(workers)
	for n, it := range run.items {
		group.Go(func() error {
			var err error
			if was[n], err = c.vanish(ctx, site, it.object); err != nil {
				run.errs[n] = objectError("recreate", it.object, err)
			}
			return nil
		})
	}
	_ = group.Wait() // the errors are in run.errs
	if ctx.Err() != nil {
		return nil, fmt.Errorf("recreate objects of layer %s: %w", layer.Name, errors.Join(append(run.errs, ctx.Err())...))
	}
	changes, err := run.apply(ctx)
	for i, change := range changes {
		for n, it := range run.items {
			if was[n] && it.object == change.Object && change.Action == reconciler.Created {
				changes[i].Action = reconciler.Recreated
			}
		}
	}
	return changes, err
}

// vanish deletes an object of the site, and returns once it is gone. It says whether it was there.
func (c *Cluster) vanish(ctx context.Context, site string, o reconciler.Object) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, vanishing)
	defer cancel()
	there, why := false, ""
	for pause := 20 * time.Millisecond; ; pause = min(2*pause, time.Second) {
		s, err := c.session()
		if err != nil {
			return there, err
		}
		change, err := c.deleteOne(ctx, s, site, o)
		switch {
		case err != nil && there && ctx.Err() != nil: // time was up while it was asked for
			return there, errors.New(why)
		case err != nil:
			return there, err
		case change.Action == reconciler.LeftAlone:
			return there, errors.New(change.Why)
		case change.Action == "":
			return there, nil
		case change.Action == reconciler.Deleted:
			return true, nil
		}
		there, why = true, change.Why
		if !sleep(ctx, pause) {
			return there, errors.New(why)
		}
	}
}
