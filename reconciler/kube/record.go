package kube

import (
	"hash/fnv"
	"slices"
	"sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// record remembers what each object looked like after it was last applied.
type record struct {
	mu      sync.Mutex
	applied map[key]applied
}

// applied is an object after an apply.
type applied struct {
	layer      string
	version    string // resourceVersion
	generation int64  // 0 for kinds that have none
	written    int64  // when fields of ours last changed: seconds of the server's clock
	fields     uint64 // fingerprint of the fields that we own
}

func newRecord() *record { return &record{applied: make(map[key]applied)} }

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

// ownership reads an object's managed fields: a fingerprint of those that we
// own, and when we last changed them. Whoever changes or removes a field takes
// it from us, so the fingerprint moves exactly when what we applied is no
// longer there; a hand's additions of its own move it too, since we undo them.
func ownership(m metav1.Object) (fields uint64, written int64) {
	h := fnv.New64a()
	for _, e := range m.GetManagedFields() {
		switch {
		case e.Subresource != "":
		case isOurs(e):
			_, _ = h.Write([]byte(e.APIVersion))
			if e.FieldsV1 != nil {
				_, _ = h.Write(e.FieldsV1.GetRawBytes())
			}
			if e.Time != nil && e.Time.Unix() > written {
				written = e.Time.Unix()
			}
		case byHand(e):
			_, _ = h.Write([]byte(e.Manager))
		}
	}
	return h.Sum64(), written
}

func isOurs(e metav1.ManagedFieldsEntry) bool {
	return e.Manager == FieldManager && e.Operation == metav1.ManagedFieldsOperationApply && e.Subresource == ""
}

// byHand says whether the entry is of a person's kubectl, whose changes to our objects are undone.
func byHand(e metav1.ManagedFieldsEntry) bool {
	return e.Subresource == "" && slices.Contains(handManagers(), e.Manager)
}

// handManagers are the names under which kubectl writes whole objects or their
// declared parts; "before-first-apply" is what the API server calls fields
// older than field management. A rollout restart is an order, not an edit: it
// writes as kubectl-rollout and is left alone.
func handManagers() []string {
	return []string{
		"kubectl", "kubectl-client-side-apply", "kubectl-create", "kubectl-edit", "kubectl-patch", "kubectl-replace",
		"kubectl-label", "kubectl-annotate", "kubectl-set", "before-first-apply",
	}
}
