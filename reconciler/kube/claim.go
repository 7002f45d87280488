package kube

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
)

// initialManager owns the fields that are others' from the moment an object is
// there, for as long as no other owns them: without an owner they would go.
const initialManager = "holdfast-initial"

// claim makes the managed fields of an object those that it should have before
// we apply: what a person or another tool declared is ours, so that what the layer
// does not declare goes; and what the layer leaves to others is not ours, so that
// it stays. It is nil if they are so already.
func claim(live *metav1.PartialObjectMetadata, leave func(fieldpath.Path) bool) (entries []metav1.ManagedFieldsEntry, taken bool, err error) {
	ours, initial := &fieldpath.Set{}, &fieldpath.Set{}
	count := 0
	var rest []metav1.ManagedFieldsEntry
	for _, e := range live.ManagedFields {
		into := ours
		switch {
		case isOurs(e):
			count++
		case byHand(e):
			taken = true
		case e.Manager == initialManager && e.Operation == metav1.ManagedFieldsOperationApply:
			into = initial
		default:
			rest = append(rest, e)
			continue
		}
		set, err := fieldSet(e.FieldsV1.GetRawBytes())
		if err != nil {
			return nil, false, fmt.Errorf("read managed fields of %s: %w", e.Manager, err)
		}
		*into = *into.Union(set)
	}
	left := &fieldpath.Set{}
	for path := range ours.All() {
		if leave(path) {
			left.Insert(path.Copy())
		}
	}
	if !taken && count < 2 && left.Empty() {
		return nil, false, nil
	}
	for _, part := range []struct {
		manager string
		fields  *fieldpath.Set
	}{{FieldManager, ours.Difference(left)}, {initialManager, initial.Union(left)}} {
		if part.fields.Empty() {
			continue
		}
		var raw bytes.Buffer
		if err := part.fields.ToJSONStream(&raw); err != nil {
			return nil, false, err
		}
		now := metav1.Now()
		rest = append(rest, metav1.ManagedFieldsEntry{Manager: part.manager, Operation: metav1.ManagedFieldsOperationApply,
			APIVersion: live.APIVersion, Time: &now, FieldsType: "FieldsV1", FieldsV1: metav1.NewFieldsV1(raw.String())})
	}
	return rest, taken, nil
}

// settle claims what is to be claimed of an object. It returns the object's
// metadata afterwards, and whether fields were taken from others.
func (c *Cluster) settle(ctx context.Context, s *session, it item, live *metav1.PartialObjectMetadata,
	leave func(fieldpath.Path) bool) (after *metav1.PartialObjectMetadata, taken bool, err error) {
	for try := 1; ; try++ {
		entries, taken, err := claim(live, leave)
		if err != nil || entries == nil {
			return live, taken, err
		}
		body, err := json.Marshal([]map[string]any{
			{"op": "replace", "path": "/metadata/resourceVersion", "value": live.ResourceVersion},
			{"op": "replace", "path": "/metadata/managedFields", "value": entries},
		})
		if err != nil {
			return live, false, err
		}
		after, _, err := c.patch(ctx, s, it, client.RawPatch(types.JSONPatchType, body))
		const tries = 5 // others may write the object at the same moment
		if err == nil || !apierrors.IsConflict(err) || try == tries {
			return after, taken, err
		}
		if live, err = s.metadata(ctx, it.object); err != nil {
			return live, false, err
		}
		if live == nil {
			return nil, false, errors.New("it was deleted while it was applied")
		}
	}
}
