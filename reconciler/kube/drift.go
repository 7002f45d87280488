package kube

import (
	"time"

	"github.com/holdfast-fleet/holdfast/render"
)

const (
	settle    = 200 * time.Millisecond // from the first sign of drift to its report, to see all of a change
	minRepeat = time.Second            // between two reports of one layer; doubles while it keeps drifting
	maxRepeat = 30 * time.Second
	calm      = 10 * time.Second // without drift, beyond the last pause, after which a layer starts afresh
)

// drift compares what watches see of a site's objects with what was applied,
// and decides when to report which layer. It is driven by one goroutine, which
// also tells it the time.
type drift struct {
	record *record
	layer  map[key]string
	layers map[string]*layerDrift
	seen   map[key]sight
}

// layerDrift is when to report one layer.
type layerDrift struct {
	keys     []key
	due      time.Time // zero: nothing to report
	reported time.Time
	repeat   time.Duration
	told     bool // that it has objects which were not applied by this process
}

// sight is what a watch last saw of an object; not having been seen is the third state.
type sight struct {
	gone   bool
	fields uint64 // as in applied
}

func newDrift(r *record, layers []render.Layer, items map[string][]item) *drift {
	d := &drift{
		record: r,
		layer:  make(map[key]string),
		layers: make(map[string]*layerDrift, len(layers)),
		seen:   make(map[key]sight),
	}
	for _, l := range layers {
		ld := &layerDrift{}
		for _, it := range items[l.Name] {
			k := keyOf(it.object)
			d.layer[k] = l.Name
			ld.keys = append(ld.keys, k)
		}
		d.layers[l.Name] = ld
	}
	return d
}

// observe takes in what a watch saw.
func (d *drift) observe(now time.Time, k key, s sight) {
	name, ours := d.layer[k]
	if !ours {
		return
	}
	d.seen[k] = s
	l := d.layers[name]
	if !l.due.IsZero() || !d.drifted(l, k) {
		return
	}
	if now.Sub(l.reported) > l.repeat+calm {
		l.repeat = 0
	}
	l.due = now.Add(settle)
	if next := l.reported.Add(l.repeat); next.After(l.due) {
		l.due = next
	}
}

// drifted says whether one object of a layer differs from what was applied. An
// object that this process never applied may differ: that is told once.
func (d *drift) drifted(l *layerDrift, k key) bool {
	s, ok := d.seen[k]
	if !ok {
		return false
	}
	a, known := d.record.get(k)
	if !known {
		return !l.told
	}
	return s.gone || s.fields != a.fields
}

// take returns a layer to report now, or how long to wait for one; a wait below
// zero has no end. A reported layer that is not repaired is reported again.
func (d *drift) take(now time.Time) (layer string, wait time.Duration) {
	wait = -1
	for name, l := range d.layers {
		if l.due.IsZero() {
			continue
		}
		if left := l.due.Sub(now); left > 0 {
			if wait < 0 || left < wait {
				wait = left
			}
			continue
		}
		l.due = time.Time{}
		if !d.anyDrifted(l) {
			continue
		}
		l.told = true
		l.reported = now
		l.repeat = min(max(2*l.repeat, minRepeat), maxRepeat)
		l.due = now.Add(l.repeat)
		return name, 0
	}
	return "", wait
}

func (d *drift) anyDrifted(l *layerDrift) bool {
	for _, k := range l.keys {
		if d.drifted(l, k) {
			return true
		}
	}
	return false
}
