package kube

import (
	"bytes"
	"fmt"
	"hash/fnv"
	"slices"
	"unique"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
)

// owned says which fields of an object are ours. Whoever changes or removes a
// field takes it from us, so it changes exactly when what we applied is no
// longer there; a hand's additions of its own change it too, since we undo them.
// So does our own last write, by which an older one is known: an etcd may be restored
// from a time before it.
type owned struct {
	print  uint64                // fingerprint of all of the above
	fields unique.Handle[string] // as the API server lists them; many objects have the same
}

func ownedOf(m metav1.Object) owned {
	h := fnv.New64a()
	fields := ""
	for _, e := range m.GetManagedFields() {
		switch {
		case e.Subresource != "":
		case isOurs(e):
			_, _ = h.Write([]byte(e.APIVersion))
			if e.Time != nil {
				_, _ = fmt.Fprint(h, e.Time.Unix())
			}
			if e.FieldsV1 != nil {
				fields = e.FieldsV1.GetRawString()
				_, _ = h.Write([]byte(fields))
			}
		case byHand(e):
			_, _ = h.Write([]byte(e.Manager))
		}
	}
	return owned{h.Sum64(), unique.Make(fields)}
}

// written is when fields of ours last changed, in seconds of the server's clock.
func written(m metav1.Object) int64 {
	var last int64
	for _, e := range m.GetManagedFields() {
		if isOurs(e) && e.Time != nil {
			last = max(last, e.Time.Unix())
		}
	}
	return last
}

// blame says who took fields from us since the object was as before, and some of them.
func blame(before owned, m metav1.Object) (manager string, fields []string) {
	had, err := fieldSet([]byte(before.fields.Value()))
	if err != nil {
		return latest(m), nil
	}
	has, err := fieldSet([]byte(ownedOf(m).fields.Value()))
	if err != nil {
		return latest(m), nil
	}
	const most = 3
	lost := had.Difference(has).Leaves()
	for path := range lost.All() {
		if len(fields) < most {
			fields = append(fields, path.String())
		}
	}
	for _, e := range m.GetManagedFields() {
		if isOurs(e) || e.FieldsV1 == nil {
			continue
		}
		theirs, err := fieldSet(e.FieldsV1.GetRawBytes())
		if err == nil && !theirs.Intersection(lost).Empty() || byHand(e) {
			return e.Manager, fields
		}
	}
	return latest(m), fields // whoever removes a field owns nothing of it
}

func fieldSet(raw []byte) (*fieldpath.Set, error) {
	set := &fieldpath.Set{}
	if len(raw) == 0 {
		return set, nil
	}
	return set, set.FromJSON(bytes.NewReader(raw))
}

// latest is the field manager besides us that wrote last.
func latest(m metav1.Object) string {
	var manager string
	var at int64
	for _, e := range m.GetManagedFields() {
		if !isOurs(e) && e.Subresource == "" && e.Time != nil && e.Time.Unix() >= at {
			manager, at = e.Manager, e.Time.Unix()
		}
	}
	return manager
}

func isOurs(e metav1.ManagedFieldsEntry) bool {
	return e.Manager == FieldManager && e.Operation == metav1.ManagedFieldsOperationApply && e.Subresource == ""
}

// byHand says whether the entry is of a person's kubectl, or of a tool that
// applied the object before us: what they declare of our objects is taken over.
func byHand(e metav1.ManagedFieldsEntry) bool {
	return e.Subresource == "" && slices.Contains(handManagers(), e.Manager)
}

// handManagers are the names under which kubectl writes whole objects or their
// declared parts, then those of Helm, Flux and Argo CD; "before-first-apply" is
// what the API server calls fields older than field management. A rollout restart is an order, not an edit: it
// writes as kubectl-rollout and is left alone.
func handManagers() []string {
	return []string{
		"kubectl", "kubectl-client-side-apply", "kubectl-create", "kubectl-edit", "kubectl-patch", "kubectl-replace",
		"kubectl-label", "kubectl-annotate", "kubectl-set", "before-first-apply",
		"helm", "kustomize-controller", "helm-controller", "flux", "argocd-controller", "argocd-application-controller",
	}
}
