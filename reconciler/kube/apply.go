package kube

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/fluxcd/cli-utils/pkg/object"
	"github.com/fluxcd/pkg/ssa"
	"golang.org/x/sync/errgroup"

	"github.com/holdfast-fleet/holdfast/fleet"
	"github.com/holdfast-fleet/holdfast/reconciler"
	"github.com/holdfast-fleet/holdfast/render"
)

const (
	kindPatience = 3 * time.Second  // for a kind to be served after its definition was applied
	establishing = 30 * time.Second // for a CustomResourceDefinition to be accepted
)

// Apply makes the cluster's objects equal the layer's: namespaces and
// definitions first, admission rules last, the rest at once in between. Its
// error joins a [reconciler.ObjectError] for each object that failed, and those
// that cannot be changed in a [reconciler.ImmutableError], unless the API
// server cannot be reached, which ends it at once.
func (c *Cluster) Apply(ctx context.Context, site string, layer render.Layer) ([]reconciler.Change, error) {
	run, err := c.newRun(site, layer)
	if err != nil {
		return nil, err
	}
	return run.whole(ctx, run.items)
}

// Update implements [reconciler.Cluster].
func (c *Cluster) Update(ctx context.Context, site string, layer render.Layer) ([]reconciler.Change, error) {
	run, err := c.newRun(site, layer)
	if err != nil {
		return nil, err
	}
	return run.whole(ctx, slices.DeleteFunc(slices.Clone(run.items), run.inPlace))
}

// Repair implements [reconciler.Cluster].
func (c *Cluster) Repair(ctx context.Context, site string, layer render.Layer, objects []reconciler.Object) ([]reconciler.Change, error) {
	run, err := c.newRun(site, layer)
	if err != nil {
		return nil, err
	}
	if err := run.only(objects); err != nil {
		return nil, err
	}
	return run.apply(ctx)
}

// applyRun is one Apply under way; actions and errs are parallel to items.
type applyRun struct {
	cluster *Cluster
	layer   string
	labels  map[string]string
	ignore  []fleet.Ignore
	setting [sha256.Size]byte // digest of what an object is sent with, besides itself
	items   []item
	actions []reconciler.Action
	errs    []error

	mu      sync.Mutex
	patient time.Time // unknown kinds are tried again until then; zero before the first
}

func (c *Cluster) newRun(site string, layer render.Layer) (*applyRun, error) {
	if site == "" {
		return nil, fmt.Errorf("apply layer %s: no site is named", layer.Name)
	}
	items, err := c.itemsOf(layer)
	if err != nil {
		return nil, err
	}
	theirs, err := scaled(items)
	if err != nil {
		return nil, err
	}
	ignore := slices.Concat(layer.Ignore, theirs)
	return &applyRun{
		cluster: c,
		layer:   layer.Name,
		labels:  map[string]string{fleet.SiteLabel: site, fleet.LayerLabel: layer.Name},
		ignore:  ignore,
		setting: sha256.Sum256(fmt.Appendf(nil, "%q %q %q", site, layer.Name, ignore)),
		items:   items,
		actions: make([]reconciler.Action, len(items)),
		errs:    make([]error, len(items)),
	}, nil
}

// whole applies some objects of a layer, of which the others are in place.
func (r *applyRun) whole(ctx context.Context, items []item) ([]reconciler.Change, error) {
	declared := r.items
	r.narrow(items)
	r.cluster.events.hold()
	changes, err := r.apply(ctx)
	if r.cluster.events.release() {
		go r.cluster.sendEvents()
	}
	r.cluster.record.retain(r.layer, declared)
	return changes, err
}

// inPlace tells whether an object is in the cluster as this process applied it last,
// and would be sent as it was then. It is so only as far as watches know for certain.
func (r *applyRun) inPlace(it item) bool {
	k := keyOf(it.object)
	a, known := r.cluster.record.get(k)
	return known && a.sent == r.digest(it) && r.cluster.eyes.certain(k).shows(a)
}

// digest is of an object as the run sends it.
func (r *applyRun) digest(it item) (sum [sha256.Size]byte) {
	h := sha256.New()
	_, _ = h.Write(r.setting[:])
	_, _ = h.Write(it.raw)
	h.Sum(sum[:0])
	return sum
}

func (r *applyRun) narrow(items []item) {
	r.items, r.actions, r.errs = items, r.actions[:len(items)], r.errs[:len(items)]
}

// only leaves no other objects in the run than those, of which each must be in it.
func (r *applyRun) only(objects []reconciler.Object) error {
	wanted := make(map[key]bool, len(objects))
	for _, o := range objects {
		wanted[keyOf(o)] = true
	}
	var items []item
	for _, it := range r.items {
		if wanted[keyOf(it.object)] {
			items = append(items, it)
			delete(wanted, keyOf(it.object))
		}
	}
	for k := range wanted {
		return fmt.Errorf("layer %s has no %s %s/%s", r.layer, k.kind, k.namespace, k.name)
	}
	r.narrow(items)
	return nil
}

// apply applies all objects that have not failed before.
func (r *applyRun) apply(ctx context.Context) ([]reconciler.Change, error) {
	var down error
	for st := range stages {
		if down = r.stage(ctx, st); down != nil {
			break
		}
		if st == foundations {
			r.establish(ctx)
		}
	}
	changes := r.changes()
	switch {
	case ctx.Err() != nil:
		return changes, fmt.Errorf("apply layer %s: %w", r.layer, ctx.Err())
	case down != nil:
		return changes, fmt.Errorf("apply layer %s: %w", r.layer, down)
	default:
		return changes, r.err()
	}
}

// stage applies the objects of one stage in parallel. It returns an error only
// if going on is of no use.
func (r *applyRun) stage(ctx context.Context, st stage) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(workers)
	for n, it := range r.items {
		if it.stage != st || r.errs[n] != nil {
			continue
		}
		group.Go(func() error {
			action, err := r.one(ctx, it)
			r.actions[n] = action
			if err == nil {
				return nil
			}
			r.errs[n] = objectError("apply", it.object, err)
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if errors.Is(err, reconciler.ErrUnreachable) || errors.Is(err, reconciler.ErrNotLeader) {
				return err
			}
			return nil
		})
	}
	return group.Wait()
}

// one applies an object, and again while its kind is not served yet.
func (r *applyRun) one(ctx context.Context, it item) (reconciler.Action, error) {
	for pause := 25 * time.Millisecond; ; pause = min(2*pause, 400*time.Millisecond) {
		s, err := r.cluster.session()
		if err != nil {
			return "", err
		}
		action, err := r.applyOne(ctx, s, it)
		if !isNoMatch(err) {
			return action, err
		}
		r.cluster.forget(s)
		if !r.patience() {
			return "", err
		}
		if !sleep(ctx, pause) {
			return "", ctx.Err()
		}
	}
}

// patience says whether an unknown kind is worth another try. All objects share
// one span of it, so that many of them cost no more time than one.
func (r *applyRun) patience() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.patient.IsZero() {
		r.patient = time.Now().Add(kindPatience)
	}
	return time.Now().Before(r.patient)
}

// establish waits until definitions that changed are served.
func (r *applyRun) establish(ctx context.Context) {
	var set object.ObjMetadataSet
	for n, it := range r.items {
		if r.actions[n] != "" && it.gvk.Kind == "CustomResourceDefinition" {
			set = append(set, object.ObjMetadata{GroupKind: it.gvk.GroupKind(), Name: it.object.Name})
		}
	}
	if len(set) == 0 {
		return
	}
	s, err := r.cluster.session()
	if err == nil {
		err = s.objects.WaitForSetWithContext(ctx, set, ssa.WaitOptions{Interval: 50 * time.Millisecond, Timeout: establishing, FailFast: true})
	}
	if err == nil {
		return
	}
	for n, it := range r.items {
		if r.errs[n] == nil && set.Contains(object.ObjMetadata{GroupKind: it.gvk.GroupKind(), Name: it.object.Name}) {
			r.errs[n] = objectError("establish", it.object, err)
			return
		}
	}
}

// err joins the errors, with what cannot be changed together.
func (r *applyRun) err() error {
	var errs []error
	var immutable reconciler.ImmutableError
	for _, err := range r.errs {
		var failed *reconciler.ObjectError
		if errors.As(err, &failed) && isImmutable(failed.Err) {
			immutable.Objects = append(immutable.Objects, failed)
		} else {
			errs = append(errs, err)
		}
	}
	if len(immutable.Objects) > 0 {
		errs = append(errs, &immutable)
	}
	return errors.Join(errs...)
}

// changes are what differed, in the order of the layer.
func (r *applyRun) changes() []reconciler.Change {
	var changes []reconciler.Change
	for n, action := range r.actions {
		if action != "" {
			changes = append(changes, reconciler.Change{Object: r.items[n].object, Action: action})
		}
	}
	return changes
}

// sleep returns false if ctx ended first.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
