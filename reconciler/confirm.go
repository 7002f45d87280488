package reconciler

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/holdfast-fleet/holdfast/render"
)

// confirm keeps t as the revision to return to, and only then deletes what
// left the cluster's inventory.
func (s *session) confirm(ctx context.Context, t target) error {
	left, err := s.left(t)
	if err != nil {
		return err
	}
	if s.confirmed == nil || s.confirmed.Commit.Revision != t.Commit.Revision {
		t.Commit.Since = time.Now().UTC().Truncate(time.Millisecond)
		if err := saveConfirmed(s.Dir, t); err != nil {
			return err
		}
		s.Log.Info("revision confirmed", "revision", t.Commit.Revision[:12], "layers", len(t.Desired.Cluster.Layers))
		s.confirmed = &t
		s.rec.update(func(st *Status, _ time.Time) { st.Confirmed = &t.Commit })
	}
	return s.prune(ctx, t, left)
}

// left lists what the cluster holds of former revisions, and t does not want.
func (s *session) left(t target) ([]Object, error) {
	desired, err := inventoryOf(t)
	if err != nil {
		return nil, err
	}
	return s.inventory.without(desired), nil
}

// prune deletes left, but for what takes intent, and settles the inventories.
func (s *session) prune(ctx context.Context, t target, left []Object) error {
	var doomed, held []Object
	for _, o := range left {
		if takesIntent(o, t.Desired.Cluster) {
			held = append(held, o)
		} else {
			doomed = append(doomed, o)
		}
	}
	s.rec.update(func(st *Status, _ time.Time) { st.Held = held })
	if len(doomed) > 0 {
		changes, err := s.cluster.Delete(ctx, t.Desired.Site, doomed)
		for _, c := range changes {
			s.Log.Info("object pruned", "object", c.Object.String())
		}
		if err != nil {
			return fmt.Errorf("prune: %w", err)
		}
	}
	settled, err := inventoryOf(t)
	if err != nil {
		return err
	}
	settled = settled.union(s.inventory.only(held))
	if settled.equal(s.inventory) {
		return nil
	}
	kept, err := s.cluster.Inventory(ctx, t.Desired.Site)
	if err != nil {
		return err
	}
	settled.Version = kept.Version
	if settled, err = s.cluster.SaveInventory(ctx, settled); err != nil {
		return err
	}
	if err := saveInventory(s.Dir, settled); err != nil {
		return err
	}
	s.inventory = settled
	return nil
}

// takesIntent says that an object is not deleted merely because the rendering
// lacks it: what takes other things with it when it goes, and everything when
// the rendering is empty.
func takesIntent(o Object, c render.Cluster) bool {
	objects := 0
	for _, l := range c.Layers {
		objects += len(l.Objects)
	}
	return objects == 0 || slices.Contains([]string{
		"Namespace", "CustomResourceDefinition", "PersistentVolume", "PersistentVolumeClaim",
	}, o.Kind)
}
