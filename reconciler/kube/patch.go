package kube

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/klog/v2"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"github.com/holdfast-fleet/holdfast/reconciler"
)

// applyOne applies one object, takes over what a person or another tool owned
// of it, and records the result. The action is empty if nothing differed.
func (r *applyRun) applyOne(ctx context.Context, s *session, it item) (reconciler.Action, error) {
	c := r.cluster
	value, err := it.value(r.labels)
	if err != nil {
		return "", err
	}
	leave, was, err := r.leaveToOthers(ctx, s, it, value)
	if err != nil || leave == nil {
		return "", err
	}
	body, err := json.Marshal(value.Object)
	if err != nil {
		return "", err
	}
	k := keyOf(it.object)
	c.record.sending(k)
	live, ans, err := c.patch(ctx, s, it, serverSideApply(body))
	if err != nil {
		return "", err
	}
	before, known := c.record.get(k)
	action := told(live, ans, before, known)
	if was != "" && live.ResourceVersion == was {
		action = ""
	}
	settled, taken, err := c.settle(ctx, s, it, live, leave)
	if err != nil {
		return action, fmt.Errorf("take over the fields written by others: %w", err)
	}
	if taken { // now the apply removes what the layer does not declare
		if settled, _, err = c.patch(ctx, s, it, serverSideApply(body)); err != nil {
			return action, err
		}
		if action == "" {
			action = reconciler.Updated
		}
	}
	c.record.set(k, appliedAs(settled, r.layer, r.digest(it)))
	if live.DeletionTimestamp != nil {
		return "", errDeleting{*live.DeletionTimestamp, live.Finalizers}
	}
	return action, nil
}

// leaveToOthers takes off the value what is others', if the object is there
// already, after it made sure that it stays when we do not apply it any more. It
// returns which fields that are, or nil if all of the object is, and the version
// of what is there, if it had to look.
func (r *applyRun) leaveToOthers(ctx context.Context, s *session, it item, value *unstructured.Unstructured) (
	leave func(fieldpath.Path) bool, version string, err error) {
	once := it.once()
	pointers := ignored(r.ignore, value)
	if len(pointers) == 0 && !once {
		return func(fieldpath.Path) bool { return false }, "", nil
	}
	declared := value.DeepCopy().Object
	leave = func(path fieldpath.Path) bool {
		return slices.ContainsFunc(pointers, func(p pointer) bool { return p.covers(path, declared) })
	}
	live, err := s.metadata(ctx, it.object)
	if err != nil {
		return nil, "", answered(ctx, err)
	}
	if live == nil {
		return leave, "", nil
	}
	if once {
		r.cluster.record.set(keyOf(it.object), appliedAs(live, r.layer, r.digest(it)))
		return nil, "", nil
	}
	if live, _, err = r.cluster.settle(ctx, s, it, live, leave); err != nil {
		return nil, "", fmt.Errorf("leave fields to others: %w", err)
	}
	for _, p := range pointers {
		p.strip(value.Object)
	}
	return leave, live.ResourceVersion, nil
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
	ctx, ans := withAnswer(klog.NewContext(ctx, klog.Logger{})) // what goes wrong is in the error
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
	case known && live.ResourceVersion == before.version && wrote == before.written: // versions repeat once etcd fell back
		return ""
	case known && wrote != before.written, fresh && !same:
		return reconciler.Updated
	default:
		return ""
	}
}
