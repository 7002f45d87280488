package kube

import (
	"context"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/holdfast-fleet/holdfast/fleet"
	"github.com/holdfast-fleet/holdfast/reconciler"
	"github.com/holdfast-fleet/holdfast/render"
)

// Verify implements [reconciler.Cluster]: it lists the metadata of each kind,
// a page at a time.
func (c *Cluster) Verify(ctx context.Context, site string, layers []render.Layer) ([]reconciler.Drift, error) {
	items, kinds, err := c.watched(layers)
	if err != nil {
		return nil, err
	}
	seen := map[key]sight{}
	for gk, version := range kinds {
		if err := c.listInto(ctx, site, gk.WithVersion(version), seen); err != nil {
			return nil, fmt.Errorf("verify what was applied: list %s: %w", gk.String(), answered(ctx, err))
		}
	}
	look := func(k key) sight {
		if s, ok := seen[k]; ok {
			return s
		}
		return sight{state: gone}
	}
	d := newDrift(c.record, look, items)
	began := time.Now()
	d.observeAll(began)
	var all []reconciler.Drift
	for {
		found, _ := d.take(began.Add(settle))
		if found.Layer == "" {
			return all, nil
		}
		all = append(all, found)
	}
}

// listInto adds what there is of a kind. Of a kind that is not served, there is nothing.
func (c *Cluster) listInto(ctx context.Context, site string, gvk schema.GroupVersionKind, seen map[key]sight) error {
	s, err := c.session()
	if err != nil {
		return err
	}
	k := &kindWatch{cluster: c, gvk: gvk, site: site}
	return s.eachListed(ctx, site, gvk, func(m *metav1.PartialObjectMetadata) {
		if m.DeletionTimestamp == nil {
			seen[k.key(m)] = k.sight(m)
		}
	})
}

// eachListed calls see with the metadata of each object of a kind that carries the
// site's label, a page at a time. Of a kind that is not served, there is none.
func (s *session) eachListed(ctx context.Context, site string, gvk schema.GroupVersionKind, see func(*metav1.PartialObjectMetadata)) error {
	mapping, err := s.mapper.RESTMapping(gvk.GroupKind(), gvk.Version)
	if meta.IsNoMatchError(err) {
		return nil
	}
	if err != nil {
		return err
	}
	const page = 500
	opts := metav1.ListOptions{LabelSelector: fleet.SiteLabel + "=" + site, Limit: page}
	for {
		list, err := func() (*metav1.PartialObjectMetadataList, error) {
			ctx, cancel := context.WithTimeout(ctx, requestTimeout)
			defer cancel()
			return s.meta.Resource(mapping.Resource).List(ctx, opts)
		}()
		if isNoMatch(err) {
			return nil
		}
		if err != nil {
			return err
		}
		for i := range list.Items {
			see(&list.Items[i])
		}
		if opts.Continue = list.Continue; opts.Continue == "" {
			return nil
		}
	}
}
