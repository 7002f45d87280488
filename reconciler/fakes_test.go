package reconciler_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/holdfast-fleet/holdfast/reconciler"
	"github.com/holdfast-fleet/holdfast/render"
)

// fakeCluster is a cluster that can be told to misbehave. The real one is
// tested in reconciler/kube and by the integration test.
type fakeCluster struct {
	mu            sync.Mutex
	inventory     reconciler.Inventory
	objects       map[string]json.RawMessage // Kind/name → what was applied
	failing       map[string]error           // layer → error of Apply
	guarded       string                     // layer that is refused as long as there is a webhook
	unhealthy     map[string]bool            // layer → never healthy
	unhealthyWith string                     // a layer with this object is never healthy
	nodeAway      error                      // a node is not ready
	healthyTimes  int                        // that it is healthy first
	unhealthySays string                     // why; empty: as it always is
	onRecreate    func()                     // mu is held
	history       []string                   // calls that change something
	drift         chan reconciler.Drift
	watched       []string // layers that are held
	watchedAt     []int    // calls that had changed something when a watch began
	saveFails     error    // of the inventory
	finalizers    string   // hold what is deleted; empty: nothing does
	deleting      []reconciler.Object
	events        []reconciler.Event
	leader        reconciler.Leader // the zero one: whoever asks
	leaderChanged chan struct{}
	onCall        func(call string) // mu is held
}

func newFakeCluster() *fakeCluster {
	return &fakeCluster{
		objects: map[string]json.RawMessage{}, failing: map[string]error{}, unhealthy: map[string]bool{},
		drift: make(chan reconciler.Drift, 8), leaderChanged: make(chan struct{}),
	}
}

func (c *fakeCluster) note(format string, args ...any) {
	call := fmt.Sprintf(format, args...)
	c.history = append(c.history, call)
	if c.onCall != nil {
		c.onCall(call)
	}
}

func (c *fakeCluster) Inventory(context.Context, string) (reconciler.Inventory, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.inventory, nil
}

func (c *fakeCluster) SaveInventory(_ context.Context, inv reconciler.Inventory) (reconciler.Inventory, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.saveFails != nil {
		return inv, c.saveFails
	}
	if inv.Version != c.inventory.Version {
		return inv, reconciler.ErrBehind
	}
	c.note("inventory %v", slices.Sorted(maps.Keys(inv.Layers)))
	inv.Version += "+"
	c.inventory = inv
	return inv, nil
}

// Lead says who was last led, or that it is this host.
func (c *fakeCluster) Lead(ctx context.Context, _, host string) (<-chan reconciler.Leader, error) {
	out := make(chan reconciler.Leader)
	go func() {
		defer close(out)
		for {
			c.mu.Lock()
			leader, changed := c.leader, c.leaderChanged
			c.mu.Unlock()
			if leader.Host == "" && leader.Err == nil {
				leader = reconciler.Leader{Host: host, Mine: true}
			}
			select {
			case out <- leader:
			case <-ctx.Done():
				return
			}
			select {
			case <-changed:
			case <-ctx.Done():
				return
			}
		}
	}()
	return out, nil
}

// led has another leader from now on.
func (c *fakeCluster) led(l reconciler.Leader) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.leader = l
	close(c.leaderChanged)
	c.leaderChanged = make(chan struct{})
}

func (c *fakeCluster) Update(_ context.Context, _ string, l render.Layer) ([]reconciler.Change, error) {
	return c.write("update", l)
}

// Repair writes all of the layer.
func (c *fakeCluster) Repair(_ context.Context, _ string, l render.Layer, _ []reconciler.Object) ([]reconciler.Change, error) {
	return c.write("repair", l)
}

func (c *fakeCluster) Recreate(ctx context.Context, site string, l render.Layer, objects []reconciler.Object) ([]reconciler.Change, error) {
	c.set(func(c *fakeCluster) {
		c.note("recreate %v", objects)
		if c.onRecreate != nil {
			c.onRecreate()
		}
	})
	return c.Apply(ctx, site, l)
}

func (c *fakeCluster) Verify(context.Context, string, []render.Layer) ([]reconciler.Drift, error) {
	return nil, nil
}

func (c *fakeCluster) Event(e reconciler.Event) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.events = append(c.events, e)
}

func (c *fakeCluster) Apply(_ context.Context, _ string, l render.Layer) ([]reconciler.Change, error) {
	return c.write("apply", l)
}

func (c *fakeCluster) write(how string, l render.Layer) ([]reconciler.Change, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.failing[l.Name]; err != nil {
		return nil, err
	}
	if c.guarded == l.Name && c.objects["ValidatingWebhookConfiguration/guard"] != nil {
		return nil, fmt.Errorf("the webhook says no: %w", reconciler.ErrGuarded)
	}
	c.note("%s %s", how, l.Name)
	var changes []reconciler.Change
	for _, raw := range l.Objects {
		key, object := name(raw)
		if string(c.objects[key]) != string(raw) {
			changes = append(changes, reconciler.Change{Object: object, Action: reconciler.Updated})
		}
		c.objects[key] = raw
	}
	return changes, nil
}

func (c *fakeCluster) Wait(ctx context.Context, l render.Layer) error {
	c.mu.Lock()
	unhealthy := c.unhealthy[l.Name]
	for _, raw := range l.Objects {
		if key, _ := name(raw); key == c.unhealthyWith {
			c.note("wait worse")
			c.healthyTimes--
			unhealthy = c.healthyTimes < 0
		}
	}
	says := c.unhealthySays
	c.mu.Unlock()
	if !unhealthy {
		return nil
	}
	if says == "" {
		<-ctx.Done()
		return errors.New("ConfigMap text: not healthy")
	}
	object := reconciler.Object{Version: "v1", Kind: "Secret", Namespace: "default", Name: "db"}
	sick := []reconciler.Unhealthy{{Object: object, Status: "InProgress", Why: says}}
	reconciler.Looked(ctx, func() []reconciler.Unhealthy { return sick })
	<-ctx.Done()
	return &reconciler.UnhealthyError{Layer: l.Name, Objects: sick}
}

func (c *fakeCluster) NodesReady(context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.nodeAway
}

func (c *fakeCluster) Delete(_ context.Context, _ string, objects []reconciler.Object) ([]reconciler.Change, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var changes []reconciler.Change
	for _, o := range objects {
		c.note("delete %s/%s", o.Kind, o.Name)
		if c.finalizers != "" {
			c.deleting = append(c.deleting, o)
			changes = append(changes, reconciler.Change{Object: o, Action: reconciler.Deleting, Why: c.finalizers})
			continue
		}
		delete(c.objects, o.Kind+"/"+o.Name)
		changes = append(changes, reconciler.Change{Object: o, Action: reconciler.Deleted})
	}
	return changes, nil
}

// Leaving finds gone what was being deleted, once nothing holds it.
func (c *fakeCluster) Leaving(_ context.Context, _ string, objects []reconciler.Object) ([]reconciler.Change, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var changes []reconciler.Change
	for _, o := range objects {
		switch {
		case slices.Contains(c.deleting, o) && c.finalizers != "":
			changes = append(changes, reconciler.Change{Object: o, Action: reconciler.Deleting, Why: c.finalizers})
		case slices.Contains(c.deleting, o), c.objects[o.Kind+"/"+o.Name] == nil:
			delete(c.objects, o.Kind+"/"+o.Name)
			changes = append(changes, reconciler.Change{Object: o, Action: reconciler.Deleted})
		}
	}
	return changes, nil
}

func (c *fakeCluster) Watch(ctx context.Context, _ string, layers []render.Layer) (<-chan reconciler.Drift, error) {
	c.set(func(c *fakeCluster) {
		c.watched, c.watchedAt = nil, append(c.watchedAt, len(c.history))
		for _, l := range layers {
			c.watched = append(c.watched, l.Name)
		}
	})
	out := make(chan reconciler.Drift)
	go func() {
		defer close(out)
		for {
			select {
			case <-ctx.Done():
				return
			case l := <-c.drift:
				select {
				case out <- l:
				case <-ctx.Done():
					return
				}
			}
		}
	}()
	return out, nil
}

// set misbehaves from now on.
func (c *fakeCluster) set(fn func(c *fakeCluster)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	fn(c)
}

func (c *fakeCluster) has(key string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.objects[key] != nil
}

// holds tells which layers are held against drift.
func (c *fakeCluster) holds() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Sorted(slices.Values(c.watched))
}

func (c *fakeCluster) said() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.history)
}

func name(raw json.RawMessage) (string, reconciler.Object) {
	var o struct {
		Kind     string
		Metadata struct{ Name string }
	}
	if err := json.Unmarshal(raw, &o); err != nil {
		panic(err)
	}
	return o.Kind + "/" + o.Metadata.Name, reconciler.Object{Version: "v1", Kind: o.Kind, Name: o.Metadata.Name}
}
