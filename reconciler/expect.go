package reconciler

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/holdfast-fleet/holdfast/gitsource"
	"github.com/holdfast-fleet/holdfast/render"
)

// layerStatuses starts the layers of a pass from what is known of the last one.
func layerStatuses(old []LayerStatus, layers []render.Layer, applied map[string]string, now time.Time) []LayerStatus {
	out := make([]LayerStatus, len(layers))
	for i, l := range layers {
		out[i] = LayerStatus{Name: l.Name, State: LayerPending, Digest: l.Digest, Objects: len(l.Objects), Since: now}
		j := slices.IndexFunc(old, func(o LayerStatus) bool { return o.Name == l.Name && o.Digest == l.Digest })
		switch {
		case j < 0:
		case applied[l.Name] == l.Digest:
			out[i] = old[j]
		default:
			out[i].Failing, out[i].Troubles, out[i].More, out[i].ready = old[j].Failing, old[j].Troubles, old[j].More, old[j].ready
		}
	}
	return out
}

// expect makes the inventories, of which kept is the cluster's, hold all that is
// about to be applied besides all that was, so that nothing applied is ever unknown.
func (s *session) expect(ctx context.Context, rev gitsource.Revision, t target, kept Inventory) error {
	settled := kept.Revision
	if settled == "" {
		settled = s.inventory.Revision
	}
	s.intents = s.intend(rev, t, settled)
	desired, err := s.inventoryOf(t)
	if err != nil {
		return err
	}
	union := desired.union(kept).union(s.inventory)
	union.Revision, union.Newest, union.Writer, union.Version = kept.Revision, kept.Newest, kept.Writer, kept.Version
	union = raised(union, rev, t)
	if !union.same(s.inventory) {
		if err := s.saveInventory(union); err != nil {
			return err
		}
	}
	s.inventory = union
	if union.same(kept) {
		return nil
	}
	if union, err = s.cluster.SaveInventory(ctx, union); err != nil {
		return err
	}
	s.inventory.Version = union.Version
	return nil
}

// inventoryOf lists what t is to have in the cluster.
func (s *session) inventoryOf(t target) (Inventory, error) {
	inv := Inventory{Site: t.Desired.Site, Revision: t.Commit.Revision, Layers: map[string][]Object{}}
	lists := map[string][]Object{}
	for _, l := range t.Desired.Cluster.Layers {
		if !l.Prune {
			inv.Kept = append(inv.Kept, l.Name)
		}
		list, known := s.lists[l.Digest]
		if !known {
			var err error
			if list, err = objectsOf(l); err != nil {
				return Inventory{}, fmt.Errorf("layer %s: %w", l.Name, err)
			}
		}
		lists[l.Digest] = list
		inv.Layers[l.Name] = list // it is in the profile, whatever it renders
	}
	s.lists = lists
	return inv, nil
}

func objectsOf(l render.Layer) ([]Object, error) {
	var list []Object
	for _, raw := range l.Objects {
		o, err := objectOf(raw)
		if err != nil {
			return nil, err
		}
		list = append(list, o)
	}
	return list, nil
}

func objectOf(raw json.RawMessage) (Object, error) {
	var head struct {
		APIVersion string `json:"apiVersion"`
		Kind       string `json:"kind"`
		Metadata   struct{ Namespace, Name string }
	}
	if err := json.Unmarshal(raw, &head); err != nil {
		return Object{}, err
	}
	group, version, found := strings.Cut(head.APIVersion, "/")
	if !found {
		group, version = "", head.APIVersion
	}
	return Object{Group: group, Version: version, Kind: head.Kind, Namespace: head.Metadata.Namespace, Name: head.Metadata.Name}, nil
}
