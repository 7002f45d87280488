package kube

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/fluxcd/pkg/ssa"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"golang.org/x/sync/errgroup"

	"github.com/holdfast-fleet/holdfast/reconciler"
)

// Delete removes objects that carry the site's owner label, in the opposite
// order of Apply. What is gone already, or is not the site's, is passed over.
// It refuses the whole list if it names no site, or an object without a name.
func (c *Cluster) Delete(ctx context.Context, site string, objects []reconciler.Object) ([]reconciler.Change, error) {
	if site == "" {
		return nil, errors.New("delete objects: no site is named")
	}
	for _, o := range objects {
		if o.Name == "" || o.Kind == "" || o.Version == "" {
			return nil, fmt.Errorf("delete objects of site %s: an object lacks its name, kind or version: %+v", site, o)
		}
	}
	s, err := c.session()
	if err != nil {
		return nil, err
	}
	deleted := make([]bool, len(objects))
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
				if deleted[n], err = c.deleteOne(ctx, s, site, o); err != nil {
					errs[n] = &ObjectError{Verb: "delete", Object: o, Err: err}
				}
				return nil
			})
		}
		_ = group.Wait() // the errors are in errs
	}
	var changes []reconciler.Change
	for n, o := range objects {
		if deleted[n] {
			changes = append(changes, reconciler.Change{Object: o, Action: reconciler.Deleted})
		}
	}
	if ctx.Err() != nil {
		return changes, fmt.Errorf("delete objects of site %s: %w", site, ctx.Err())
	}
	return changes, errors.Join(errs...)
}

// deleteOne says whether there was such an object of the site, which is now on its way out.
func (c *Cluster) deleteOne(ctx context.Context, s *session, site string, o reconciler.Object) (bool, error) {
	u := &unstructured.Unstructured{}
	u.SetGroupVersionKind(schema.GroupVersionKind{Group: o.Group, Version: o.Version, Kind: o.Kind})
	u.SetName(o.Name)
	u.SetNamespace(namespaceOf(o))
	opts := ssa.DeleteOptions{
		PropagationPolicy: metav1.DeletePropagationBackground,
		Inclusions:        map[string]string{SiteLabel: site},
	}
	c.record.drop(keyOf(o))
	var entry *ssa.ChangeSetEntry
	ans, err := c.write(ctx, func(ctx context.Context) (err error) {
		entry, err = s.objects.Delete(ctx, u, opts)
		return err
	})
	switch {
	case isNoMatch(err), apierrors.IsNotFound(err):
		return false, nil
	case err != nil:
		return false, err
	case entry.Action == ssa.SkippedAction:
		c.log.Info("object left alone", "object", describe(o), "reason", "it does not carry the label "+SiteLabel+"="+site)
		return false, nil
	default:
		return ans.status != http.StatusNotFound, nil
	}
}
