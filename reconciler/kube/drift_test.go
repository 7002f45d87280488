package kube

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-fleet/holdfast/reconciler"
	"github.com/holdfast-fleet/holdfast/render"
)

// driftStand is a drift of layers "a" (one object) and "b" (two), all applied with fingerprint 1.
func driftStand() (d *drift, keys []key, start time.Time) {
	items := map[string][]item{}
	r := newRecord()
	for _, o := range []struct{ layer, name string }{{"a", "x"}, {"b", "y"}, {"b", "z"}} {
		it := item{object: reconciler.Object{Version: "v1", Kind: "ConfigMap", Name: o.name}}
		items[o.layer] = append(items[o.layer], it)
		keys = append(keys, keyOf(it.object))
		r.set(keyOf(it.object), applied{layer: o.layer, fields: 1})
	}
	return newDrift(r, []render.Layer{{Name: "a"}, {Name: "b"}}, items), keys, time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
}

func TestDriftReportsALayerOnceItSettled(t *testing.T) {
	t.Parallel()
	d, keys, now := driftStand()
	layer, wait := d.take(now)
	require.Empty(t, layer)
	require.Negative(t, wait, "there is nothing to wait for")

	d.observe(now, keys[1], sight{fields: 2})
	d.observe(now.Add(settle/2), keys[2], sight{gone: true})
	layer, wait = d.take(now.Add(settle / 2))
	require.Empty(t, layer)
	require.Equal(t, settle/2, wait)
	layer, _ = d.take(now.Add(settle))
	require.Equal(t, "b", layer, "two signs make one report")
	layer, wait = d.take(now.Add(settle))
	require.Empty(t, layer)
	require.Equal(t, minRepeat, wait, "it is looked at again, in case that nobody repairs it")
}

func TestDriftForgetsWhatWasRepaired(t *testing.T) {
	t.Parallel()
	d, keys, now := driftStand()
	d.observe(now, keys[0], sight{fields: 2})
	d.record.set(keys[0], applied{layer: "a", fields: 2}) // our own write, seen before its answer was recorded
	layer, wait := d.take(now.Add(settle))
	require.Empty(t, layer)
	require.Negative(t, wait)
	d.observe(now, key{name: "stranger"}, sight{gone: true})
	require.Len(t, d.seen, 1, "what no layer declares is not remembered")
}

func TestDriftSlowsDownAFight(t *testing.T) {
	t.Parallel()
	d, keys, now := driftStand()
	end := now.Add(10 * time.Minute)
	var reports []time.Time
	for now.Before(end) { // whatever is reported is repaired, and changed again 50 ms later
		d.observe(now, keys[0], sight{fields: 2})
		layer, wait := d.take(now)
		if layer == "" {
			require.Positive(t, wait)
			now = now.Add(wait)
			continue
		}
		reports = append(reports, now)
		d.observe(now, keys[0], sight{fields: 1})
		now = now.Add(50 * time.Millisecond)
	}
	require.Less(t, len(reports), 30)
	require.Equal(t, maxRepeat, reports[len(reports)-1].Sub(reports[len(reports)-2]))

	d.observe(now, keys[0], sight{fields: 1})
	d.take(now.Add(maxRepeat)) // it is calm
	now = now.Add(2*maxRepeat + calm)
	d.observe(now, keys[0], sight{fields: 2})
	layer, _ := d.take(now.Add(settle))
	require.Equal(t, "a", layer, "after a calm it is quick again")
}

func TestDriftTellsOfUnknownObjectsOnce(t *testing.T) {
	t.Parallel()
	d, keys, now := driftStand()
	d.record.drop(keys[0])
	d.observe(now, keys[0], sight{gone: true})
	layer, _ := d.take(now.Add(settle))
	require.Equal(t, "a", layer)
	d.observe(now.Add(time.Minute), keys[0], sight{fields: 3})
	layer, wait := d.take(now.Add(2 * time.Minute))
	require.Empty(t, layer)
	require.Negative(t, wait)
}
