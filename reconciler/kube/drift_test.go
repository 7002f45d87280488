package kube

import (
	"testing"
	"time"
	"unique"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-fleet/holdfast/reconciler"
)

// driftStand is a drift of layers "a" (one object) and "b" (two), all applied with fingerprint 1.
type driftStand struct {
	*drift
	keys []key
	seen map[key]sight
	now  time.Time
}

func newDriftStand() *driftStand {
	d := &driftStand{seen: map[key]sight{}, now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}
	items := map[string][]item{}
	r := newRecord()
	for _, o := range []struct{ layer, name string }{{"a", "x"}, {"b", "y"}, {"b", "z"}} {
		it := item{object: reconciler.Object{Version: "v1", Kind: "ConfigMap", Name: o.name}}
		items[o.layer] = append(items[o.layer], it)
		d.keys = append(d.keys, keyOf(it.object))
		r.set(keyOf(it.object), appliedPrint(o.layer, 1))
	}
	d.drift = newDrift(r, func(k key) sight { return d.seen[k] }, items)
	return d
}

func appliedPrint(layer string, print uint64) applied {
	return applied{layer: layer, owned: owned{print, unique.Make("")}}
}

func (d *driftStand) see(at time.Time, n int, s sight) {
	d.seen[d.keys[n]] = s
	d.observe(at, d.keys[n])
}

// layers takes all that there is to report now: of several layers, which comes first is left to chance.
func (d *driftStand) layers(now time.Time) (layers []string) {
	for found, _ := d.take(now); found.Layer != ""; found, _ = d.take(now) {
		layers = append(layers, found.Layer)
	}
	return layers
}

func changed(print uint64) sight { return sight{state: there, print: print, by: "somebody"} }

func TestDriftReportsALayerOnceItSettled(t *testing.T) {
	t.Parallel()
	d := newDriftStand()
	now := d.now
	found, wait := d.take(now)
	require.Empty(t, found.Layer)
	require.Negative(t, wait, "there is nothing to wait for")

	d.see(now, 1, changed(2))
	d.see(now.Add(settle/2), 2, sight{state: gone})
	found, wait = d.take(now.Add(settle / 2))
	require.Empty(t, found.Layer)
	require.Equal(t, settle/2, wait)
	found, _ = d.take(now.Add(settle))
	require.Equal(t, "b", found.Layer)
	require.Len(t, found.Objects, 2, "two signs make one report")
	require.Equal(t, "somebody", found.Objects[0].By)
	require.True(t, found.Objects[1].Gone)
	found, wait = d.take(now.Add(settle))
	require.Empty(t, found.Layer)
	require.Equal(t, minRepeat, wait, "it is looked at again, in case that nobody repairs it")
}

func TestDriftForgetsWhatWasRepaired(t *testing.T) {
	t.Parallel()
	d := newDriftStand()
	d.see(d.now, 0, changed(2))
	d.record.set(d.keys[0], appliedPrint("a", 2)) // our own write, seen before its answer was recorded
	found, wait := d.take(d.now.Add(settle))
	require.Empty(t, found.Layer)
	require.Negative(t, wait)
}

func TestDriftSlowsDownAFight(t *testing.T) {
	t.Parallel()
	d := newDriftStand()
	now, end := d.now, d.now.Add(time.Hour)
	var reports []time.Time
	var fights []string
	for now.Before(end) { // whatever is reported is repaired, and changed again 50 ms later
		d.see(now, 0, sight{state: there, print: 2, by: "somebody", fields: []string{".data.x"}})
		found, wait := d.take(now)
		if found.Layer == "" {
			require.Positive(t, wait)
			now = now.Add(wait)
			continue
		}
		reports = append(reports, now)
		if f := found.Objects[0].Fight; f != "" {
			fights = append(fights, f)
		}
		d.see(now, 0, changed(1))
		now = now.Add(50 * time.Millisecond)
	}
	require.Less(t, len(reports), 30)
	require.Equal(t, maxRepeat, reports[len(reports)-1].Sub(reports[len(reports)-2]))
	require.Len(t, fights, len(reports)-fighting+1)
	require.Equal(t, "somebody changes .data.x back again and again (5 times); it is repaired after 16s", fights[0])

	d.see(now, 0, changed(2))
	d.see(now, 1, changed(2))
	require.Contains(t, d.layers(now.Add(settle)), "b", "others do not wait for it")

	d.see(now, 0, changed(1))
	d.see(now, 1, changed(1))
	require.Empty(t, d.layers(now.Add(3*maxRepeat)), "it is calm")
	now = now.Add(3*maxRepeat + calm)
	d.see(now, 0, changed(2))
	found, _ := d.take(now.Add(settle))
	require.Equal(t, "a", found.Layer, "after a calm it is quick again")
	require.Empty(t, found.Objects[0].Fight)
}

func TestDriftTellsOfUnknownObjectsOnce(t *testing.T) {
	t.Parallel()
	d := newDriftStand()
	d.record.drop(d.keys[0])
	d.see(d.now, 0, sight{state: gone})
	found, _ := d.take(d.now.Add(settle))
	require.Equal(t, "a", found.Layer)
	d.see(d.now.Add(time.Minute), 0, changed(3))
	found, wait := d.take(d.now.Add(2 * time.Minute))
	require.Empty(t, found.Layer)
	require.Negative(t, wait)
}
