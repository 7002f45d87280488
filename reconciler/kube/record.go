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
	layer      string
	uid        types.UID
	version    string // resourceVersion
	generation int64  // 0 for kinds that have none
	written    int64  // when fields of ours last changed: seconds of the server's clock
	owned      owned
	sent       [sha256.Size]byte // digest of what was sent
}

// place is which object it is that somebody saw, and what may have been done to it.
type place struct {
	uid        types.UID
	version    string
	generation int64
	leaving    bool
}

func placeOf(m metav1.Object) place {
	return place{m.GetUID(), m.GetResourceVersion(), m.GetGeneration(), m.GetDeletionTimestamp() != nil}
}

// holds tells whether the object at that place is as it was after an apply. A
// version that moved says nothing where a generation tells the status from the rest.
func (p place) holds(a applied) bool {
	return !p.leaving && p.uid == a.uid && p.generation == a.generation && (p.generation > 0 || p.version == a.version)
}

func newRecord() *record { return &record{applied: make(map[key]applied)} }

func appliedAs(live *metav1.PartialObjectMetadata, layer string, sent [sha256.Size]byte) applied {
	return applied{
		layer: layer, sent: sent, uid: live.UID, version: live.ResourceVersion, generation: live.Generation,
		written: written(live), owned: ownedOf(live),
	}
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
