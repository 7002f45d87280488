package kube

import (
	"context"
	"maps"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
)

// eyes are the watches of a site's objects: one a kind, of those objects that
// carry the site's label. They stay open from one Watch to the next.
type eyes struct {
	linger time.Duration // how long they stay open without a listener

	mu        sync.Mutex
	site      string
	kinds     map[schema.GroupKind]*kindWatch
	seen      map[key]sight // there; what is not, and whose kind is listed, is gone
	listeners map[*listener]struct{}
	idle      *time.Timer // set while nobody listens
}

// listener is one Watch. Its news has one slot: it says that there are changes to take.
type listener struct {
	news    chan struct{}
	changed map[key]struct{}
	listed  bool // a kind was: anything may have changed
}

func newEyes() *eyes {
	return &eyes{linger: time.Minute, kinds: map[schema.GroupKind]*kindWatch{}, seen: map[key]sight{}, listeners: map[*listener]struct{}{}}
}

// open watches these kinds, in these versions, and no others.
func (e *eyes) open(c *Cluster, site string, kinds map[schema.GroupKind]string) *listener {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.idle != nil {
		e.idle.Stop()
		e.idle = nil
	}
	for gk, k := range e.kinds {
		if _, wanted := kinds[gk]; !wanted || e.site != site {
			e.shut(gk, k)
		}
	}
	e.site = site
	for gk, version := range kinds {
		if e.kinds[gk] == nil {
			ctx, cancel := context.WithCancel(context.Background())
			k := &kindWatch{cluster: c, gvk: gk.WithVersion(version), site: site, stop: cancel}
			e.kinds[gk] = k
			go k.run(ctx)
		}
	}
	l := &listener{news: make(chan struct{}, 1), changed: map[key]struct{}{}}
	e.listeners[l] = struct{}{}
	return l
}

// close ends a listener; the watches end with the last, but not at once.
func (e *eyes) close(l *listener) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.listeners, l)
	if len(e.listeners) > 0 {
		return
	}
	e.idle = time.AfterFunc(e.linger, func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		if len(e.listeners) > 0 {
			return
		}
		for gk, k := range e.kinds {
			e.shut(gk, k)
		}
	})
}

func (e *eyes) shut(gk schema.GroupKind, k *kindWatch) {
	k.stop()
	delete(e.kinds, gk)
	for seen := range e.seen {
		if seen.group == gk.Group && seen.kind == gk.Kind {
			delete(e.seen, seen)
		}
	}
}

// look says what was last seen of an object.
func (e *eyes) look(k key) sight {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.lookAs(k, func(of *kindWatch) bool { return of.listed })
}

// certain is look, where it is certain that nothing happened that was not seen but
// in the last moment: unseen is what was last known of a kind whose watch broke.
func (e *eyes) certain(k key) sight {
	e.mu.Lock()
	defer e.mu.Unlock()
	return eitherWay(func(k key) sight {
		return e.lookAs(k, func(of *kindWatch) bool { return of.open != nil && of.whole })
	}, k)
}

func (e *eyes) lookAs(k key, knows func(*kindWatch) bool) sight {
	of := e.kinds[schema.GroupKind{Group: k.group, Kind: k.kind}]
	s, known := e.seen[k]
	switch {
	case of == nil || !knows(of):
		return sight{}
	case known:
		return s
	}
	return sight{state: gone}
}

// opens notes that a watch has a stream of changes; what was listed last is whole, unless
// a stream went before that broke since.
func (e *eyes) opens(from *kindWatch, s watch.Interface) {
	e.mu.Lock()
	defer e.mu.Unlock()
	from.whole = from.whole && from.open == nil
	from.open = s
}

// catches notes that a stream has told all there was when it began.
func (e *eyes) catches(from *kindWatch, s watch.Interface) {
	e.mu.Lock()
	defer e.mu.Unlock()
	from.whole = from.whole || from.open == s
}

// ends notes that a stream tells nothing any more.
func (e *eyes) ends(from *kindWatch, s watch.Interface) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if from.open == s {
		from.open, from.whole = nil, false
	}
}

// leaves notes that an object is on its way out: it can only be made anew once it is gone.
func (e *eyes) leaves(from *kindWatch, k key) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if s, known := e.seen[k]; known && e.kinds[from.gvk.GroupKind()] == from {
		s.place.leaving = true
		e.seen[k] = s
	}
}

// take returns the objects of which something was seen since the last time, or
// that it may be all.
func (e *eyes) take(l *listener) (keys []key, all bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for k := range l.changed {
		keys = append(keys, k)
	}
	all = l.listed
	l.listed = false
	clear(l.changed)
	return keys, all
}

// saw notes what a watch saw of an object, if that is news.
func (e *eyes) saw(from *kindWatch, k key, s sight) {
	e.mu.Lock()
	defer e.mu.Unlock()
	old, known := e.seen[k]
	switch {
	case e.kinds[from.gvk.GroupKind()] != from:
	case s.state == gone:
		delete(e.seen, k)
		e.tell(k)
	default:
		e.seen[k] = s
		if !known || old.print != s.print {
			e.tell(k)
		}
	}
}

// sawAll notes all objects of a kind.
func (e *eyes) sawAll(from *kindWatch, seen map[key]sight) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.kinds[from.gvk.GroupKind()] != from {
		return
	}
	from.listed, from.whole = true, true
	for k := range e.seen {
		if k.group == from.gvk.Group && k.kind == from.gvk.Kind {
			delete(e.seen, k)
		}
	}
	maps.Copy(e.seen, seen)
	for l := range e.listeners {
		l.listed = true
		l.wake()
	}
}

func (e *eyes) tell(k key) {
	for l := range e.listeners {
		l.changed[k] = struct{}{}
		l.wake()
	}
}

func (l *listener) wake() {
	select {
	case l.news <- struct{}{}:
	default:
	}
}
