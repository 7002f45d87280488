package kube

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/holdfast-fleet/holdfast/reconciler"
)

const (
	settle    = 100 * time.Millisecond // from the first sign of drift to its report, to see all of a change
	minRepeat = time.Second            // between two reports of one object; doubles while it keeps drifting
	maxRepeat = 5 * time.Minute
	calm      = 10 * time.Second // without drift, beyond the last pause, after which an object starts afresh
	fighting  = 5                // reports in a row that make it a fight
)

// drift compares what watches see of a site's objects with what was applied,
// and decides when to report which. It is driven by one goroutine, which also
// tells it the time.
type drift struct {
	record  *record
	look    func(key) sight
	objects map[key]declared
	wide    map[key]key // objects without a namespace → as declared, with one
	drifts  map[key]*objectDrift
	told    map[key]bool // objects that were not applied by this process, and that this was reported of
}

// declared is an object of a layer.
type declared struct {
	layer    string
	object   reconciler.Object
	fleeting bool // to have gone is what it was for
	once     bool // what becomes of it is others' matter, as long as it is there
}

// objectDrift is when to report one object.
type objectDrift struct {
	due      time.Time // zero: nothing to report
	reported time.Time
	repeat   time.Duration
	times    int // reported in a row
	by       string
}

// sight is what watches last saw of an object.
type sight struct {
	state  sightState
	print  uint64 // as in owned
	place  place
	by     string // who changed it, if it differs from what was applied
	fields []string
}

type sightState int

const (
	unseen sightState = iota // its kind was not listed yet
	there
	gone
)

func newDrift(r *record, look func(key) sight, items map[string][]item) *drift {
	d := &drift{record: r, look: look, objects: map[key]declared{}, wide: map[key]key{}, drifts: map[key]*objectDrift{}, told: map[key]bool{}}
	for layer, list := range items {
		for _, it := range list {
			k := keyOf(it.object)
			d.objects[k] = declared{layer, it.object, it.fleeting(), it.once()}
			if it.object.Namespace != "" {
				d.wide[key{k.group, k.kind, "", k.name}] = k
			}
		}
	}
	return d
}

// observe takes note that watches saw something of an object.
func (d *drift) observe(now time.Time, k key) {
	k, ours := d.declared(k)
	if !ours || !d.drifted(k) {
		return
	}
	o := d.drifts[k]
	if o == nil {
		o = &objectDrift{}
		d.drifts[k] = o
	}
	if !o.due.IsZero() {
		return
	}
	if now.Sub(o.reported) > o.repeat+calm {
		*o = objectDrift{}
	}
	o.due = now.Add(settle)
	if next := o.reported.Add(o.repeat); next.After(o.due) {
		o.due = next
	}
}

func (d *drift) observeAll(now time.Time) {
	for k := range d.objects {
		d.observe(now, k)
	}
}

// declared finds the key under which an object is declared, if it is.
func (d *drift) declared(k key) (key, bool) {
	if _, ours := d.objects[k]; ours {
		return k, true
	}
	if k.namespace == "" {
		k.namespace = "default"
		if _, ours := d.objects[k]; ours {
			return k, true
		}
		k.namespace = ""
		as, ours := d.wide[k]
		return as, ours
	}
	return k, false
}

// drifted says whether an object differs from what was applied. One that this
// process never applied may differ: that is told once.
func (d *drift) drifted(k key) bool {
	s := d.sight(k)
	if s.state == unseen {
		return false
	}
	a, known := d.record.get(k)
	if !known {
		return !d.told[k]
	}
	if s.state == gone {
		return !d.objects[k].fleeting
	}
	return s.print != a.owned.print && !d.objects[k].once
}

func (d *drift) sight(k key) sight { return eitherWay(d.look, k) }

// eitherWay looks for an object as declared, and as one of a kind without namespaces.
func eitherWay(look func(key) sight, k key) sight {
	s := look(k)
	if s.state == gone {
		if wide := look(key{k.group, k.kind, "", k.name}); wide.state == there {
			return wide
		}
	}
	return s
}

// shows tells whether an object is as it was after an apply.
func (s sight) shows(a applied) bool {
	return s.state == there && s.print == a.owned.print && s.place.stays(a.place)
}

// take returns drift of one layer to report now, or how long to wait for some; a
// wait below zero has no end. What is reported and not repaired is reported again.
func (d *drift) take(now time.Time) (out reconciler.Drift, wait time.Duration) {
	for {
		first, o := d.next()
		if o == nil {
			return out, -1
		}
		if left := o.due.Sub(now); left > 0 {
			return out, left
		}
		if out = d.takeLayer(now, d.objects[first].layer); out.Layer != "" {
			return out, 0
		}
	}
}

// next is the object that is due first, nil without any.
func (d *drift) next() (first key, next *objectDrift) {
	for k, o := range d.drifts {
		if !o.due.IsZero() && (next == nil || o.due.Before(next.due)) {
			first, next = k, o
		}
	}
	return first, next
}

// takeLayer reports what is due of a layer, also what is still settling.
func (d *drift) takeLayer(now time.Time, layer string) (out reconciler.Drift) {
	for k, o := range d.drifts {
		if o.due.IsZero() || d.objects[k].layer != layer || o.due.Sub(now) > settle {
			continue
		}
		o.due = time.Time{}
		if d.drifted(k) {
			out.Layer = layer
			out.Objects = append(out.Objects, d.report(now, k, o))
		}
	}
	slices.SortFunc(out.Objects, func(a, b reconciler.Drifted) int { return strings.Compare(a.Object.String(), b.Object.String()) })
	return out
}

func (d *drift) report(now time.Time, k key, o *objectDrift) reconciler.Drifted {
	s := d.sight(k)
	if _, known := d.record.get(k); !known {
		d.told[k] = true
	}
	if s.by != "" {
		o.by = s.by
	}
	o.times++
	o.reported = now
	o.repeat = min(max(2*o.repeat, minRepeat), maxRepeat)
	o.due = now.Add(o.repeat)
	out := reconciler.Drifted{Object: d.objects[k].object, Gone: s.state == gone, By: s.by, Fields: s.fields}
	if o.times >= fighting {
		out.Fight, out.Peace = o.fight(out), o.repeat+calm
	}
	return out
}

// fight says in words who does not agree with the layer.
func (o *objectDrift) fight(d reconciler.Drifted) string {
	who, what := o.by, "changes it back"
	if who == "" {
		who = "somebody"
	}
	if len(d.Fields) > 0 {
		what = "changes " + strings.Join(d.Fields, ", ") + " back"
	}
	if d.Gone {
		who, what = "somebody", "deletes it"
	}
	return fmt.Sprintf("%s %s again and again (%d times); it is repaired after %s", who, what, o.times, o.repeat)
}
