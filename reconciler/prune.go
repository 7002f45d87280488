package reconciler

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/holdfast-fleet/holdfast/fleet"
)

// HeldObject is one that the fleet does not list any more, and that stays until
// somebody says by name that it may go.
type HeldObject struct {
	Object
	Layer string `json:"layer"`        // that had it
	Why   string `json:"why"`          // it stays
	Do    string `json:"do,omitempty"` // to let it go
}

// leftover is what the inventory lists and the rendering does not.
type leftover struct {
	Object
	layer string
}

// fewObjects may go without a look at their share: of a handful, any is much.
const fewObjects = 5

// precious are the kinds that take other things along when they go.
var precious = map[string]string{
	"Namespace":                "all that is in it goes with it",
	"CustomResourceDefinition": "all objects of its kind go with it",
	"PersistentVolume":         "data may go with it",
	"PersistentVolumeClaim":    "its data go with it",
}

// pruning sorts what is left over into what is deleted and what takes intent.
type pruning struct {
	allowed []fleet.Permit
	share   int                 // percent
	desired map[string][]Object // by layer
	total   int                 // objects of the inventory
}

func (p pruning) sort(left []leftover) (doomed []Object, held []HeldObject) {
	var plain []leftover // without a word of anybody
	for _, o := range left {
		why, do := p.intent(o)
		switch needed := p.neededBy(o.Object); {
		case needed != "":
			held = append(held, HeldObject{o.Object, o.layer, "the fleet still wants " + needed + ", which would go with it", "list it again, or take that out first"})
		case allows(p.allowed, o.Object), why == "" && do == "":
			doomed = append(doomed, o.Object)
		case why == "":
			plain = append(plain, o)
		default:
			held = append(held, HeldObject{o.Object, o.layer, why, do})
		}
	}
	tooMany := len(plain) > fewObjects && len(plain)*100 > p.share*p.total
	for _, o := range plain {
		if tooMany {
			why := fmt.Sprintf("%d of %d objects would go at once, more than %d percent", len(plain), p.total, p.share)
			held = append(held, HeldObject{o.Object, o.layer, why, commitThat("Allow-Prune: layer " + o.layer)})
			continue
		}
		doomed = append(doomed, o.Object)
	}
	return doomed, held
}

// intent says why the object is held, if it is; do alone is for what only the
// share may hold.
func (p pruning) intent(o leftover) (why, do string) {
	wanted, hasLayer := p.desired[o.layer]
	whole := commitThat("Allow-Prune: layer " + o.layer)
	switch {
	case precious[o.Kind] != "":
		return precious[o.Kind], commitThat("Allow-Prune: " + named(o.Object))
	case allowsLayer(p.allowed, o.layer):
		return "", ""
	case (Inventory{Layers: p.desired}).objects() == 0:
		return "the whole rendering is empty", whole
	case !hasLayer:
		return "layer " + o.layer + " is not in the profile any more", whole
	case len(wanted) == 0:
		return "layer " + o.layer + " renders nothing any more", whole
	}
	return "", whole
}

// neededBy names an object that the fleet wants and that would go with o.
func (p pruning) neededBy(o Object) string {
	var needs func(wanted Object) bool
	switch {
	case o.Kind == "Namespace" && o.Group == "":
		needs = func(wanted Object) bool { return wanted.Namespace == o.Name }
	case o.Kind == "CustomResourceDefinition":
		plural, group, _ := strings.Cut(o.Name, ".")
		needs = func(wanted Object) bool {
			return wanted.Group == group && slices.Contains(plurals(wanted.Kind), plural)
		}
	default:
		return ""
	}
	for _, name := range slices.Sorted(maps.Keys(p.desired)) {
		if i := slices.IndexFunc(p.desired[name], needs); i >= 0 {
			return p.desired[name][i].String()
		}
	}
	return ""
}

// plurals are the names that the resource of a kind is likely to have.
func plurals(kind string) []string {
	kind = strings.ToLower(kind)
	return []string{kind, kind + "s", kind + "es", strings.TrimSuffix(kind, "y") + "ies"}
}

func commitThat(trailer string) string {
	return "commit with the trailer \"" + trailer + "\""
}

// named is the object as a permit names it.
func named(o Object) string {
	return fleet.Permit{Kind: o.Kind, Namespace: o.Namespace, Name: o.Name}.String()
}

// prune deletes what is left over of former revisions, but for what takes
// intent, and settles the inventories. It comes after the confirmation.
func (s *session) prune(ctx context.Context, t target) error {
	desired, err := s.inventoryOf(t)
	if err != nil {
		return err
	}
	s.going = false
	doomed, held, err := s.leftOver(ctx, t, desired)
	if err != nil {
		return fmt.Errorf("prune: %w", err)
	}
	if len(doomed) > 0 {
		going, err := s.deleteAll(ctx, t, doomed)
		if err != nil {
			return fmt.Errorf("prune: %w", err)
		}
		held = append(held, going...)
	}
	slices.SortFunc(held, func(a, b HeldObject) int { return compareObjects(a.Object, b.Object) })
	s.sayHeld(held)
	stay := make([]Object, len(held))
	for i, h := range held {
		stay[i] = h.Object
	}
	return s.settle(ctx, desired.union(s.inventory.only(stay)))
}

// leftOver sorts what the inventory lists and desired does not, by what t allows.
func (s *session) leftOver(ctx context.Context, t target, desired Inventory) (doomed []Object, held []HeldObject, err error) {
	p := pruning{allowed: slices.Concat(t.Prune.Allow, t.Intents.Prune), share: t.Prune.Share, desired: desired.Layers, total: s.inventory.objects()}
	doomed, held = p.sort(s.inventory.without(desired))
	held, err = s.standing(ctx, t.Desired.Site, held)
	return doomed, held, err
}

// standing leaves of what is held what is not deleted already, because a commit before
// allowed it or by hand: no word can hold that, or is needed to let it go.
func (s *session) standing(ctx context.Context, site string, held []HeldObject) ([]HeldObject, error) {
	if len(held) == 0 {
		return nil, nil
	}
	objects := make([]Object, len(held))
	for i, h := range held {
		objects[i] = h.Object
	}
	changes, err := s.cluster.Leaving(ctx, site, objects)
	leaving := map[Object]bool{}
	for _, c := range changes {
		leaving[c.Object] = true
	}
	held = slices.DeleteFunc(held, func(h HeldObject) bool { return leaving[h.Object] })
	for _, c := range changes {
		if c.Action == Deleting {
			held = append(held, s.beingDeleted(c))
		}
	}
	return held, err
}

// beingDeleted is an object on its way out, which is looked after until it has gone.
func (s *session) beingDeleted(c Change) HeldObject {
	s.going = true
	return HeldObject{c.Object, s.inventory.layerOf(c.Object), c.Why, "see what its finalizers wait for"}
}

// deleteAll returns what does not go by itself.
func (s *session) deleteAll(ctx context.Context, t target, doomed []Object) (held []HeldObject, err error) {
	changes, err := s.cluster.Delete(ctx, t.Desired.Site, doomed)
	for _, c := range changes {
		switch c.Action {
		case Deleting:
			held = append(held, s.beingDeleted(c))
		case LeftAlone, Orphaned:
			s.Log.Info("object left in the cluster", "object", c.Object.String(), "why", c.Why)
		default:
			s.Log.Info("object pruned", "object", c.Object.String())
		}
	}
	return held, err
}

// pruneGoing looks how far those are that somebody's finalizers hold, after the
// confirmed revision was pruned for, and before anything newer is applied.
func (s *session) pruneGoing(ctx context.Context) {
	if !s.going {
		return
	}
	if err := s.prune(ctx, *s.confirmed); err != nil && ctx.Err() == nil {
		s.Log.Warn("what is being deleted is not looked after", "error", err)
	}
}

// sayHeld puts into the status, and once into the log, what is held.
func (s *session) sayHeld(held []HeldObject) {
	s.rec.update(func(st *Status, _ time.Time) {
		said := map[Object]string{} // why, by object
		for _, h := range st.Held {
			said[h.Object] = h.Why
		}
		for _, h := range held {
			if said[h.Object] != h.Why {
				s.tellHeld(h)
				s.Log.Warn("object held", "object", h.String(), "layer", h.Layer, "why", h.Why, "do", h.Do)
			}
		}
		st.Held = held
	})
}

// settle makes both inventories list what is there from now on.
func (s *session) settle(ctx context.Context, inv Inventory) error {
	if inv.equal(s.inventory) {
		return nil
	}
	inv.Newest, inv.Writer, inv.Version = s.inventory.Newest, s.inventory.Writer, s.inventory.Version
	inv, err := s.cluster.SaveInventory(ctx, inv)
	if err != nil {
		return err
	}
	if err := s.saveInventory(inv); err != nil {
		return err
	}
	s.inventory = inv
	return nil
}
