package reconciler

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/holdfast-fleet/holdfast/fleet"
	"github.com/holdfast-fleet/holdfast/render"
)

// plan returns the layers to hold the cluster at: the desired ones, but for
// those whose digest is known to be bad and those that depend on them, which
// stay as last confirmed. kept says why, by name.
func plan(desired, confirmed []render.Layer, bad map[string]string) (layers []render.Layer, kept map[string]string) {
	kept = map[string]string{}
	for _, l := range desired {
		why, isBad := bad[l.Digest]
		if !isBad {
			i := slices.IndexFunc(l.DependsOn, func(dep string) bool { return kept[dep] != "" })
			if i < 0 {
				layers = append(layers, l)
				continue
			}
			why = "waits for layer " + l.DependsOn[i]
		}
		kept[l.Name] = why
		if i := slices.IndexFunc(confirmed, func(c render.Layer) bool { return c.Name == l.Name }); i >= 0 {
			layers = append(layers, confirmed[i])
		}
	}
	return known(layers), kept
}

// known drops dependencies on layers that are not in the list: a layer as last
// confirmed may depend on one that has gone since.
func known(layers []render.Layer) []render.Layer {
	out := slices.Clone(layers)
	for i, l := range out {
		out[i].DependsOn = slices.DeleteFunc(slices.Clone(l.DependsOn), func(dep string) bool {
			return !slices.ContainsFunc(layers, func(o render.Layer) bool { return o.Name == dep })
		})
	}
	return out
}

// rollsBack says whether a layer may be put back by applying the older version
// of it. Unless it says, one that touches CRDs, storage or Jobs in either version
// holds instead: undoing these may lose more than it mends.
func rollsBack(l, old render.Layer) bool {
	switch l.Rollback {
	case fleet.RollbackAuto:
		return true
	case fleet.RollbackHold:
		return false
	}
	return !slices.ContainsFunc(slices.Concat(l.Objects, old.Objects), func(raw json.RawMessage) bool {
		o, err := objectOf(raw)
		return err != nil || slices.Contains([]string{
			"CustomResourceDefinition", "PersistentVolume", "PersistentVolumeClaim", "StatefulSet", "StorageClass", "Job", "CronJob",
		}, o.Kind)
	})
}

// trial is how a layer's digest has failed so far.
type trial struct {
	since     time.Time
	unhealthy int // times
}

// condemns counts a failure, and tells whether it is one too many. A layer that
// is refused gets as long as one that does not become healthy.
func (t *trial) condemns(l render.Layer, unhealthy bool, now time.Time) bool {
	if t.since.IsZero() {
		t.since = now
	}
	if unhealthy {
		t.unhealthy++
		return t.unhealthy > l.Retry
	}
	return now.Sub(t.since) >= time.Duration(1+l.Retry)*l.Timeout
}

// judge decides whether a failure condemns a layer's digest, so that the layer
// is put back to what was last confirmed and not tried again until it changes.
func (s *session) judge(l render.Layer, err error, unhealthy bool, now time.Time) {
	if s.confirmed == nil {
		return
	}
	old := s.confirmed.Desired.Cluster.Layers
	i := slices.IndexFunc(old, func(c render.Layer) bool { return c.Name == l.Name })
	if i < 0 || old[i].Digest == l.Digest || !rollsBack(l, old[i]) {
		return
	}
	t := s.failing[l.Digest]
	if t == nil {
		t = new(trial)
		s.failing[l.Digest] = t
	}
	if t.condemns(l, unhealthy, now) {
		s.bad[l.Digest] = err.Error()
		s.Log.Warn("layer rolled back", "layer", l.Name, "digest", l.Digest, "to", old[i].Digest, "why", err)
	}
}

// rolledBack reports a revision that runs but for some of its layers.
func rolledBack(desired []render.Layer, kept map[string]string) error {
	var parts []string
	for _, l := range desired {
		if why := kept[l.Name]; why != "" {
			parts = append(parts, fmt.Sprintf("layer %s stays as last confirmed: %s", l.Name, why))
		}
	}
	if len(parts) == 0 {
		return nil
	}
	return fmt.Errorf("%s", strings.Join(parts, "; "))
}
