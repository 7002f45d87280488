package kube

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/holdfast-fleet/holdfast/fleet"
	"github.com/holdfast-fleet/holdfast/reconciler"
)

// PruneAnnotation with the value "disabled" makes an orphan of an object that would
// be deleted, also if only the live object has it.
const PruneAnnotation = "holdfast.dev/prune"

// Delete implements [reconciler.Cluster], in the opposite order of Apply. It
// refuses the whole list if it names no site, or an object without a name.
func (c *Cluster) Delete(ctx context.Context, site string, objects []reconciler.Object) ([]reconciler.Change, error) {
	return c.eachOf(ctx, "delete", site, objects, c.deleteOne)
}

// eachOf does something to each object, in the opposite order of Apply, in
// parallel where there is none. What is not there makes no change.
func (c *Cluster) eachOf(ctx context.Context, verb, site string, objects []reconciler.Object,
	do func(context.Context, *session, string, reconciler.Object) (reconciler.Change, error)) ([]reconciler.Change, error) {
	if site == "" {
		return nil, fmt.Errorf("%s objects: no site is named", verb)
	}
	for _, o := range objects {
		if o.Name == "" || o.Kind == "" || o.Version == "" {
			return nil, fmt.Errorf("%s objects of site %s: an object lacks its name, kind or version: %+v", verb, site, o)
		}
	}
	s, err := c.session()
	if err != nil {
		return nil, err
	}
	done := make([]reconciler.Change, len(objects))
	errs := make([]error, len(objects))
	for st := stages - 1; st >= 0 && ctx.Err() == nil; st-- {
		var group errgroup.Group
		group.SetLimit(workers)
		for n, o := range objects {
			if stageOf(schema.GroupKind{Group: o.Group, Kind: o.Kind}) != st {
				continue
			}
			group.Go(func() error {
				var err error
				if done[n], err = do(ctx, s, site, o); err != nil {
					errs[n] = objectError(verb, o, answered(ctx, err))
				}
				return nil
			})
		}
		_ = group.Wait() // the errors are in errs
	}
	var changes []reconciler.Change
	for _, change := range done {
		if change.Action != "" {
			changes = append(changes, change)
		}
	}
	if ctx.Err() != nil {
		return changes, fmt.Errorf("%s objects of site %s: %w", verb, site, ctx.Err())
	}
	return changes, errors.Join(errs...)
}

// deleteOne deletes an object as it was looked at; if it changes meanwhile, it is looked at again.
func (c *Cluster) deleteOne(ctx context.Context, s *session, site string, o reconciler.Object) (reconciler.Change, error) {
	c.record.drop(keyOf(o))
	for try := 1; ; try++ {
		live, change, err := s.ours(ctx, site, o)
		switch {
		case err != nil || live == nil:
			return change, err
		case live.Annotations[PruneAnnotation] == "disabled":
			return c.orphan(ctx, s, site, o)
		case live.DeletionTimestamp != nil:
			return s.deleting(ctx, o, live), nil
		}
		_, err = c.write(ctx, func(ctx context.Context) error {
			return s.objects.Client().Delete(ctx, named(o), client.PropagationPolicy(metav1.DeletePropagationBackground),
				client.Preconditions{UID: &live.UID, ResourceVersion: &live.ResourceVersion})
		})
		const tries = 5
		if apierrors.IsConflict(err) && try < tries && sleep(ctx, time.Duration(try)*20*time.Millisecond) {
			continue
		}
		if err != nil && !apierrors.IsNotFound(err) {
			return reconciler.Change{}, err
		}
		return s.deleted(ctx, o, live)
	}
}

// Leaving implements [reconciler.Cluster]. It lists a kind of which it is asked for
// many, and asks for what it did not find so, one by one: it may have lost its label.
func (c *Cluster) Leaving(ctx context.Context, site string, objects []reconciler.Object) ([]reconciler.Change, error) {
	s, err := c.session()
	if err != nil {
		return nil, err
	}
	listed, err := s.listMany(ctx, site, objects)
	if err != nil {
		return nil, fmt.Errorf("look for objects of site %s: %w", site, answered(ctx, err))
	}
	return c.eachOf(ctx, "look for", site, objects, func(ctx context.Context, s *session, _ string, o reconciler.Object) (reconciler.Change, error) {
		live, err := listed[keyOf(o)], error(nil)
		if live == nil {
			live, err = s.metadata(ctx, o)
		}
		switch {
		case err != nil:
			return reconciler.Change{}, err
		case live == nil:
			return reconciler.Change{Object: o, Action: reconciler.Deleted}, nil
		case live.DeletionTimestamp != nil:
			return s.deleting(ctx, o, live), nil
		}
		return reconciler.Change{}, nil
	})
}

// listMany lists the kinds of which there are many among objects.
func (s *session) listMany(ctx context.Context, site string, objects []reconciler.Object) (map[key]*metav1.PartialObjectMetadata, error) {
	const many = 10
	kinds := map[schema.GroupVersionKind]int{}
	for _, o := range objects {
		kinds[named(o).GroupVersionKind()]++
	}
	listed := map[key]*metav1.PartialObjectMetadata{}
	for gvk, n := range kinds {
		if n < many {
			continue
		}
		err := s.eachListed(ctx, site, gvk, func(m *metav1.PartialObjectMetadata) {
			listed[keyOf(reconciler.Object{Group: gvk.Group, Kind: gvk.Kind, Namespace: m.Namespace, Name: m.Name})] = m
		})
		if err != nil {
			return nil, err
		}
	}
	return listed, nil
}

// deleted says whether the object that was deleted is gone.
func (s *session) deleted(ctx context.Context, o reconciler.Object, was *metav1.PartialObjectMetadata) (reconciler.Change, error) {
	live, err := s.metadata(ctx, o)
	if err != nil {
		return reconciler.Change{}, err
	}
	if live == nil || live.UID != was.UID {
		return reconciler.Change{Object: o, Action: reconciler.Deleted}, nil
	}
	return s.deleting(ctx, o, live), nil
}

// ours reads the metadata of an object that carries the site's label. If there
// is none, it is nil, and the change says so of another's object.
func (s *session) ours(ctx context.Context, site string, o reconciler.Object) (*metav1.PartialObjectMetadata, reconciler.Change, error) {
	live, err := s.metadata(ctx, o)
	if err != nil || live == nil {
		return nil, reconciler.Change{}, err
	}
	if live.Labels[fleet.SiteLabel] != site {
		return nil, reconciler.Change{Object: o, Action: reconciler.LeftAlone, Why: "it does not carry the label " + fleet.SiteLabel + "=" + site}, nil
	}
	return live, reconciler.Change{}, nil
}

// metadata reads an object's metadata; nil if it is not there, or its kind is not.
func (s *session) metadata(ctx context.Context, o reconciler.Object) (*metav1.PartialObjectMetadata, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	live := &metav1.PartialObjectMetadata{}
	live.SetGroupVersionKind(named(o).GroupVersionKind())
	err := s.objects.Client().Get(ctx, client.ObjectKey{Namespace: namespaceOf(o), Name: o.Name}, live)
	if isNoMatch(err) || apierrors.IsNotFound(err) {
		return nil, nil
	}
	return live, err
}

// named is an object of which nothing but its name is said.
func named(o reconciler.Object) *unstructured.Unstructured {
	u := &unstructured.Unstructured{}
	u.SetGroupVersionKind(schema.GroupVersionKind{Group: o.Group, Version: o.Version, Kind: o.Kind})
	u.SetNamespace(namespaceOf(o))
	u.SetName(o.Name)
	return u
}
