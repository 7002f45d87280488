package reconciler

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/holdfast-fleet/holdfast/fleet"
	"github.com/holdfast-fleet/holdfast/render"
)

// layersAtOnce bounds how many layers are applied side by side.
const layersAtOnce = 8

// apply brings the planned layers of t to the cluster, in the order of their
// dependencies; those that do not depend on each other side by side. Nothing
// is deleted. It returns the layers to hold from now on: those that were written,
// if only in part, and those that are as last confirmed; not what is blocked.
func (s *session) apply(ctx context.Context, t target, layers []render.Layer, kept map[string]string) ([]render.Layer, error) {
	s.rec.update(func(st *Status, now time.Time) {
		st.Layers = layerStatuses(st.Layers, t.Desired.Cluster.Layers, s.applied, now)
		for _, p := range s.allPauses() {
			st.layer(p.Layer, LayerPaused, p.String(), now)
		}
	})
	run := layerRun{
		session: s, target: t, kept: kept, done: map[string]chan struct{}{}, failed: map[string]error{},
		written: map[string]bool{}, stands: map[string]bool{},
	}
	for _, l := range layers {
		run.done[l.Name] = make(chan struct{})
	}
	end := func() {}
	run.tend = sync.OnceFunc(func() { end = s.tend(ctx, t.Desired.Site, layers, run.standing) })
	var g sync.WaitGroup
	slots := make(chan struct{}, layersAtOnce)
	for _, l := range layers {
		g.Go(func() { run.layer(ctx, l, slots) })
	}
	g.Wait()
	end()
	held := slices.DeleteFunc(slices.Clone(layers), func(l render.Layer) bool { return !run.written[l.Name] && !s.isConfirmed(l) })
	return held, run.err(layers)
}

// confirmedOf leaves the layers that are as last confirmed: all of them is in the
// inventory, so they may be repaired whatever else is wrong.
func (s *session) confirmedOf(layers []render.Layer) []render.Layer {
	return slices.DeleteFunc(slices.Clone(layers), func(l render.Layer) bool { return !s.isConfirmed(l) })
}

func (s *session) isConfirmed(l render.Layer) bool {
	old := s.confirmedLayer(l.Name)
	return old != nil && old.Digest == l.Digest
}

// layerRun is one pass over the layers of a cluster.
type layerRun struct {
	*session
	target  target
	kept    map[string]string // layer → why it is applied as last confirmed
	done    map[string]chan struct{}
	failed  map[string]error
	written map[string]bool // layer → its objects were, or most of them
	stands  map[string]bool // layer → all of them were, so that it is repaired while others are waited for
	tend    func()          // begins with that, once
}

func (r *layerRun) layer(ctx context.Context, l render.Layer, slots chan struct{}) {
	defer close(r.done[l.Name])
	for _, dep := range l.DependsOn {
		<-r.done[dep]
		if r.failure(dep) != nil {
			r.end(l, LayerBlocked, fmt.Errorf("waits for layer %s", dep))
			return
		}
	}
	r.mu.Lock()
	was := r.applied[l.Name]
	unchanged := was == l.Digest
	if !unchanged {
		delete(r.applied, l.Name) // from now on it is something between the two
	}
	r.written[l.Name], r.stands[l.Name] = true, unchanged
	r.mu.Unlock()
	if unchanged {
		r.end(l, LayerReady, nil)
		return
	}
	slots <- struct{}{}
	r.report(l, LayerApplying, "")
	write := r.cluster.Apply
	if was != "" {
		write = r.cluster.Update
	}
	changes, err := r.applyLayer(ctx, r.target.Desired.Site, l, write)
	<-slots
	if err != nil {
		r.fail(ctx, l, err, false)
		return
	}
	if len(changes) > 0 {
		r.tellApplied(r.target, l, changes)
		r.Log.Info("layer applied", "layer", l.Name, "changes", len(changes), "objects", len(l.Objects))
	}
	r.mu.Lock()
	r.stands[l.Name] = true
	r.mu.Unlock()
	if l.Wait {
		r.tend()
		r.report(l, LayerWaiting, "")
		r.pulse.beat(loopHold, patience+l.Timeout)
		waiting, cancel := context.WithTimeout(ctx, l.Timeout)
		defer cancel()
		if err := r.cluster.Wait(r.looking(waiting, l), l); err != nil {
			r.fail(ctx, l, fmt.Errorf("not healthy after %s: %w", l.Timeout, err), true)
			return
		}
	}
	r.mu.Lock()
	r.applied[l.Name] = l.Digest
	delete(r.failing, l.Digest)
	r.mu.Unlock()
	r.end(l, LayerReady, nil)
}

// fail ends a layer, and judges it unless the work was interrupted or a node
// is not well: its pods are neither there nor gone, whatever the layer.
func (r *layerRun) fail(ctx context.Context, l render.Layer, err error, unhealthy bool) {
	if errors.Is(err, ErrGuarded) {
		r.mu.Lock()
		r.guarded = true
		r.mu.Unlock()
	}
	if ctx.Err() == nil && countsAgainst(err) && (!unhealthy || r.nodesReady(ctx, l)) {
		r.mu.Lock()
		r.judge(r.target, l, err, unhealthy)
		r.mu.Unlock()
	}
	if ctx.Err() == nil {
		r.tellFailed(l, err)
	}
	r.end(l, LayerFailed, err)
}

func (r *layerRun) nodesReady(ctx context.Context, l render.Layer) bool {
	dist, err := fleet.ParseDistribution(r.target.Desired.Node.Distribution)
	if err == nil && !dist.ControlPlane {
		err = r.cluster.NodesReady(ctx)
	}
	if err != nil {
		r.Log.Warn("layer is not judged", "layer", l.Name, "error", err)
	}
	return err == nil
}

func (r *layerRun) standing(name string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.stands[name]
}

func (r *layerRun) failure(name string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.failed[name]
}

func (r *layerRun) end(l render.Layer, state LayerState, err error) {
	message := ""
	if err != nil {
		message = err.Error()
		r.mu.Lock()
		r.failed[l.Name] = err
		r.mu.Unlock()
	}
	r.report(l, state, message)
	if err != nil {
		r.rec.update(func(st *Status, now time.Time) { st.troubled(l.Name, troubles(err), now) })
	}
}

func (r *layerRun) report(l render.Layer, state LayerState, message string) {
	if why := r.kept[l.Name]; why != "" && state == LayerReady {
		state, message = LayerKept, why
	}
	r.rec.update(func(st *Status, now time.Time) { st.layer(l.Name, state, message, now) })
}

// err names the layers that failed; those that only wait for them are not news.
func (r *layerRun) err(layers []render.Layer) error {
	var failed []string
	blocked := 0
	var first error
	for _, l := range layers {
		err := r.failed[l.Name]
		switch {
		case err == nil:
		case slices.ContainsFunc(l.DependsOn, func(dep string) bool { return r.failed[dep] != nil }):
			blocked++
		default:
			failed = append(failed, l.Name)
			if first == nil {
				first = err
			}
		}
	}
	if len(failed) == 0 {
		return nil
	}
	more := ""
	if blocked > 0 {
		more = fmt.Sprintf(" (%d more wait for it)", blocked)
	}
	return fmt.Errorf("layer %s%s: %w", strings.Join(failed, ", "), more, first)
}
