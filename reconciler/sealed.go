package reconciler

import (
	"context"
	"errors"
	"slices"

	"github.com/holdfast-fleet/holdfast/render"
	"github.com/holdfast-fleet/holdfast/secrets"
)

// opening is a cluster to which layers go with their secrets opened, which are in
// memory for as long as a call takes. What it says of them is masked.
type opening struct {
	Cluster
	with secrets.Identity
}

func (o opening) Apply(ctx context.Context, site string, l render.Layer) ([]Change, error) {
	return o.opened(l, func(l render.Layer) ([]Change, error) { return o.Cluster.Apply(ctx, site, l) })
}

func (o opening) Update(ctx context.Context, site string, l render.Layer) ([]Change, error) {
	return o.opened(l, func(l render.Layer) ([]Change, error) { return o.Cluster.Update(ctx, site, l) })
}

func (o opening) Repair(ctx context.Context, site string, l render.Layer, objects []Object) ([]Change, error) {
	return o.opened(l, func(l render.Layer) ([]Change, error) { return o.Cluster.Repair(ctx, site, l, objects) })
}

func (o opening) Recreate(ctx context.Context, site string, l render.Layer, objects []Object) ([]Change, error) {
	return o.opened(l, func(l render.Layer) ([]Change, error) { return o.Cluster.Recreate(ctx, site, l, objects) })
}

func (o opening) opened(l render.Layer, do func(render.Layer) ([]Change, error)) ([]Change, error) {
	l, hidden, err := l.Open(o.with)
	if err != nil {
		return nil, err
	}
	changes, err := do(l)
	return changes, mask(err, hidden)
}

// Wait looks at objects as they are sealed: their health says nothing of what is in them.
func (o opening) Wait(ctx context.Context, l render.Layer) error {
	if len(l.Sealed) == 0 {
		return o.Cluster.Wait(ctx, l)
	}
	_, hidden, err := l.Open(o.with)
	if err != nil {
		return err
	}
	told := ctx
	ctx = WithLooks(ctx, func(left []Unhealthy) {
		Looked(told, func() []Unhealthy { return maskObjects(left, hidden) })
	})
	return mask(o.Cluster.Wait(ctx, l), hidden)
}

// mask takes secrets out of what an error says, and out of its parts that say
// something to others.
func mask(err error, hidden []string) error {
	if err == nil || len(hidden) == 0 {
		return err
	}
	text := func(s string) string { return secrets.Mask(s, hidden) }
	switch e := err.(type) { //nolint:errorlint // each part is masked as it is
	case *ObjectError:
		masked := *e
		masked.Reason = text(e.Reason)
		return &masked
	case *ImmutableError:
		masked := &ImmutableError{}
		for _, o := range e.Objects {
			part := *o
			part.Reason = text(o.Reason)
			masked.Objects = append(masked.Objects, &part)
		}
		return masked
	case *UnhealthyError:
		masked := *e
		masked.Objects, masked.Probes = maskObjects(e.Objects, hidden), nil
		for _, p := range e.Probes {
			masked.Probes = append(masked.Probes, text(p))
		}
		return &masked
	case interface{ Unwrap() []error }:
		var parts []error
		for _, part := range e.Unwrap() {
			parts = append(parts, mask(part, hidden))
		}
		return errors.Join(parts...)
	}
	return &maskedError{text(err.Error()), err}
}

func maskObjects(objects []Unhealthy, hidden []string) []Unhealthy {
	out := slices.Clone(objects)
	for i := range out {
		out[i].Why = secrets.Mask(out[i].Why, hidden)
	}
	return out
}

type maskedError struct {
	text string
	err  error // for what it is, not for what it says
}

func (e *maskedError) Error() string { return e.text }
func (e *maskedError) Unwrap() error { return e.err }
