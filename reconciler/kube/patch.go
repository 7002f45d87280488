package kube

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/fluxcd/pkg/ssa"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/holdfast-fleet/holdfast/reconciler"
)

// applyOne applies one object, takes over what a person's kubectl owned of it,
// and records the result. The action is empty if nothing differed.
func (c *Cluster) applyOne(ctx context.Context, s *session, labels map[string]string, it item) (reconciler.Action, error) {
	value, err := it.value(labels)
	if err != nil {
		return "", err
	}
	body, err := json.Marshal(value.Object)
	if err != nil {
		return "", err
	}
	live, ans, err := c.patch(ctx, s, it, serverSideApply(body))
	if err != nil {
		return "", err
	}
	k := keyOf(it.object)
	before, known := c.record.get(k)
	action := told(live, ans, before, known)
	cleanup, err := takeover(live)
	if err != nil {
		return action, err
	}
	if cleanup != nil {
		if _, _, err = c.patch(ctx, s, it, client.RawPatch(types.JSONPatchType, cleanup)); err != nil {
			return action, fmt.Errorf("take over the fields written by hand: %w", err)
		}
		if live, _, err = c.patch(ctx, s, it, serverSideApply(body)); err != nil {
			return action, err
		}
		if action == "" {
			action = reconciler.Updated
		}
	}
	c.record.set(k, appliedAs(live, labels[LayerLabel]))
	if live.DeletionTimestamp != nil {
		return "", errDeleting{*live.DeletionTimestamp, live.Finalizers}
	}
	return action, nil
}

func serverSideApply(body []byte) client.Patch { return client.RawPatch(types.ApplyPatchType, body) }

// patch sends one patch, and returns the object's metadata after it.
func (c *Cluster) patch(ctx context.Context, s *session, it item, p client.Patch) (*metav1.PartialObjectMetadata, *answer, error) {
	opts := []client.PatchOption{client.FieldOwner(FieldManager)}
	if p.Type() == types.ApplyPatchType {
		opts = append(opts, client.ForceOwnership)
	}
	for try := 1; ; try++ {
		live := &metav1.PartialObjectMetadata{}
		live.SetGroupVersionKind(it.gvk)
		live.Name, live.Namespace = it.object.Name, namespaceOf(it.object)
		ans, err := c.write(ctx, func(ctx context.Context) error {
			return s.objects.Client().Patch(ctx, live, p, opts...)
		})
		tellWitness(ctx, it.object, ans.warnings)
		const tries = 4 // others may write the same object at the same moment
		if err != nil && apierrors.IsConflict(err) && try < tries && sleep(ctx, time.Duration(try)*20*time.Millisecond) {
			continue
		}
		return live, ans, answered(ctx, err)
	}
}

// write runs a request that writes when a slot is free, within its time limit.
func (c *Cluster) write(ctx context.Context, request func(context.Context) error) (*answer, error) {
	select {
	case c.slots <- struct{}{}:
	case <-ctx.Done():
		return &answer{}, ctx.Err()
	}
	defer func() { <-c.slots }()
	if err := c.fence(); err != nil {
		return &answer{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	ctx, ans := withAnswer(ctx)
	return ans, request(ctx)
}

// told says what an apply did. An apply that changes nothing leaves both the
// version and the time of our last write as they were; but others move the
// version, and the time has whole seconds only. So within the second of our own
// last write, a version that moved counts as an update, unless the generation
// shows that nothing but the status did.
func told(live *metav1.PartialObjectMetadata, ans *answer, before applied, known bool) reconciler.Action {
	wrote := written(live)
	fresh := ans.date.Unix()-wrote <= 1
	same := known && live.Generation > 0 && live.Generation == before.generation
	switch {
	case ans.status == 201:
		return reconciler.Created
	case known && live.ResourceVersion == before.version:
		return ""
	case known && wrote != before.written, fresh && !same:
		return reconciler.Updated
	default:
		return ""
	}
}

// takeover makes a JSON patch that gives us the fields that a person's kubectl
// owns, so that the next apply removes those that the layer does not declare.
// It also moves our ownership to the version that the object is now declared
// in, if there are two. It is nil if there is nothing to do.
func takeover(live *metav1.PartialObjectMetadata) ([]byte, error) {
	hands, ours := 0, 0
	for _, e := range live.ManagedFields {
		if byHand(e) {
			hands++
		}
		if isOurs(e) {
			ours++
		}
	}
	if hands == 0 && ours < 2 {
		return nil, nil
	}
	raw, err := runtime.DefaultUnstructuredConverter.ToUnstructured(live)
	if err != nil {
		return nil, err
	}
	u := &unstructured.Unstructured{Object: raw}
	var patches []ssa.JSONPatch
	if ours > 1 {
		if patches, err = ssa.PatchMigrateToVersion(u, live.APIVersion); err != nil {
			return nil, err
		}
		for _, p := range patches {
			u.SetManagedFields(p.Value)
		}
	}
	merged, err := ssa.PatchReplaceFieldsManagers(u, hand(), FieldManager)
	if err != nil {
		return nil, err
	}
	return json.Marshal(append(patches, merged...))
}

// hand lists the field managers to take over from; our own is among them for
// what we applied in another version.
func hand() []ssa.FieldManager {
	managers := []ssa.FieldManager{{Name: FieldManager, ExactMatch: true, OperationType: metav1.ManagedFieldsOperationApply}}
	for _, name := range handManagers() {
		for _, op := range []metav1.ManagedFieldsOperationType{metav1.ManagedFieldsOperationApply, metav1.ManagedFieldsOperationUpdate} {
			managers = append(managers, ssa.FieldManager{Name: name, ExactMatch: true, OperationType: op})
		}
	}
	return managers
}
