package kube

import (
	"context"
	"encoding/json"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/holdfast-fleet/holdfast/fleet"
	"github.com/holdfast-fleet/holdfast/reconciler"
)

// orphan leaves an object as it is, and nothing of us on it: neither our labels nor
// our name among those that own fields.
func (c *Cluster) orphan(ctx context.Context, s *session, site string, o reconciler.Object) (reconciler.Change, error) {
	for try := 1; ; try++ {
		live, change, err := s.ours(ctx, site, o)
		if err != nil || live == nil {
			return change, err
		}
		patch, err := disown(live)
		if err != nil {
			return reconciler.Change{}, err
		}
		_, err = c.write(ctx, func(ctx context.Context) error {
			return s.objects.Client().Patch(ctx, live, client.RawPatch(types.JSONPatchType, patch), client.FieldOwner(FieldManager))
		})
		const tries = 5 // it was changed since it was read
		if apierrors.IsConflict(err) && try < tries && sleep(ctx, time.Duration(try)*20*time.Millisecond) {
			continue
		}
		if apierrors.IsNotFound(err) {
			return reconciler.Change{}, nil
		}
		return reconciler.Change{Object: o, Action: reconciler.Orphaned, Why: "its annotation " + PruneAnnotation + " says disabled"}, err
	}
}

// disown makes a JSON patch, valid for this version of the object, that takes us off it.
func disown(live *metav1.PartialObjectMetadata) ([]byte, error) {
	type op struct {
		Op    string `json:"op"`
		Path  string `json:"path"`
		Value any    `json:"value,omitempty"`
	}
	ops := []op{{"replace", "/metadata/resourceVersion", live.ResourceVersion}}
	for _, label := range []string{fleet.SiteLabel, fleet.LayerLabel} {
		if _, found := live.Labels[label]; found {
			ops = append(ops, op{"remove", "/metadata/labels/" + strings.ReplaceAll(label, "/", "~1"), nil})
		}
	}
	others := []metav1.ManagedFieldsEntry{}
	for _, e := range live.ManagedFields {
		if e.Manager != FieldManager {
			others = append(others, e)
		}
	}
	if len(others) == 0 {
		others = append(others, metav1.ManagedFieldsEntry{}) // how the API server is told of none; an empty list it takes for "as before"
	}
	return json.Marshal(append(ops, op{"replace", "/metadata/managedFields", others}))
}
