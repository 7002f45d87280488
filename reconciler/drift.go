package reconciler

import (
	"context"
	"sync"
	"time"

	"github.com/holdfast-fleet/holdfast/render"
)

// repair puts drifted layers right for as long as wait lasts.
func (s *session) repair(ctx context.Context, t *target, wait time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	if t == nil || s.cluster == nil {
		<-ctx.Done()
		return
	}
	layers := byName(t.Desired.Cluster.Layers)
	drifted, err := s.cluster.Watch(ctx, t.Desired.Site, t.Desired.Cluster.Layers)
	if err != nil {
		s.Log.Warn("drift is not watched, only looked for", "error", err)
		<-ctx.Done()
		return
	}
	tick := time.NewTicker(jitter(s.Interval))
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			s.pulse.beat(loopHold, patience)
			s.rec.update(func(st *Status, now time.Time) { st.calmed(now) })
			if err := s.bootstrap(ctx, *t); err != nil || s.overtaken(ctx, *t) {
				return
			}
			s.pruneGoing(ctx)
		case found, open := <-drifted:
			if !open {
				return
			}
			s.repairLayer(ctx, t.Desired.Site, layers[found.Layer], found)
		}
	}
}

// tend puts drifted layers right beside other work, those that may be, until end is
// called.
func (s *session) tend(ctx context.Context, site string, layers []render.Layer, may func(layer string) bool) (end func()) {
	ctx, cancel := context.WithCancel(ctx)
	drifted, err := s.cluster.Watch(ctx, site, layers)
	if err != nil {
		s.Log.Warn("drift is not watched while layers are waited for", "error", err)
		return cancel
	}
	var ended sync.WaitGroup
	ended.Go(func() {
		named := byName(layers)
		for {
			select {
			case <-ctx.Done():
				return
			case found, open := <-drifted:
				if !open {
					return
				}
				if may(found.Layer) { // else it is written soon, or reported again
					s.repairLayer(ctx, site, named[found.Layer], found)
				}
			}
		}
	})
	return func() {
		cancel()
		ended.Wait()
	}
}

func byName(layers []render.Layer) map[string]render.Layer {
	named := make(map[string]render.Layer, len(layers))
	for _, l := range layers {
		named[l.Name] = l
	}
	return named
}

func (s *session) repairLayer(ctx context.Context, site string, layer render.Layer, found Drift) {
	changes, err := s.cluster.Repair(ctx, site, layer, found.Names())
	for _, c := range changes {
		s.Log.Info("drift repaired", append([]any{"layer", layer.Name, "object", c.Object.String(), "action", string(c.Action)}, found.blame(c.Object)...)...)
	}
	s.tellRepaired(layer, found, changes)
	if err != nil && ctx.Err() == nil && s.unrepaired[layer.Name] != err.Error() {
		s.unrepaired[layer.Name] = err.Error()
		s.Log.Warn("drift not repaired", "layer", layer.Name, "error", err)
	}
	if err == nil {
		delete(s.unrepaired, layer.Name)
	}
	s.rec.update(func(st *Status, now time.Time) {
		st.Repairs += len(changes)
		st.fought(found, now)
	})
}
