package kube

import (
	"crypto/sha256"
	"sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// record remembers what each object looked like after it was last applied.
type record struct {
	mu      sync.Mutex
	applied map[key]applied
}

// applied is an object after an apply.
type applied struct {
	place
	layer   string
	written int64 // when fields of ours last changed: seconds of the server's clock
	owned   owned
	sent    [sha256.Size]byte // digest of what was sent
}

// place is which object it is, and how far whatever was done to it has come.
type place struct {
	uid        types.UID
	version    string // resourceVersion
	generation int64  // 0 for kinds that have none
	leaving    bool   // somebody deleted it
}

func placeOf(m metav1.Object) place {
	return place{m.GetUID(), m.GetResourceVersion(), m.GetGeneration(), m.GetDeletionTimestamp() != nil}
}

// stays tells whether nothing but the status may have changed since.
func (p place) stays(since place) bool {
	return !p.leaving && p.uid == since.uid && p.generation == since.generation && (p.generation > 0 || p.version == since.version)
}

func newRecord() *record { return &record{applied: make(map[key]applied)} }

func appliedAs(live *metav1.PartialObjectMetadata, layer string, sent [sha256.Size]byte) applied {
	return applied{place: placeOf(live), layer: layer, written: written(live), owned: ownedOf(live), sent: sent}
}

func (r *record) get(k key) (applied, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	a, ok := r.applied[k]
	return a, ok
}

func (r *record) set(k key, a applied) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.applied[k] = a
}

// sending notes that an object is about to be another than what was sent last.
func (r *record) sending(k key) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if a, known := r.applied[k]; known {
		a.sent = [sha256.Size]byte{}
		r.applied[k] = a
	}
}

func (r *record) drop(k key) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.applied, k)
}

// retain drops what the layer once applied, but no longer declares.
func (r *record) retain(layer string, items []item) {
	keep := make(map[key]bool, len(items))
	for _, it := range items {
		keep[keyOf(it.object)] = true
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for k, a := range r.applied {
		if a.layer == layer && !keep[k] {
			delete(r.applied, k)
		}
	}
}
