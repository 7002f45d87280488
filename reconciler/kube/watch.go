package kube

import (
	"context"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/holdfast-fleet/holdfast/reconciler"
	"github.com/holdfast-fleet/holdfast/render"
)

// Watch implements [reconciler.Cluster]. It keeps metadata fingerprints only,
// follows the API server through restarts, and kinds through their coming and
// going. The channel is closed once ctx ended; the watches stay open a little
// longer, for the next Watch.
func (c *Cluster) Watch(ctx context.Context, site string, layers []render.Layer) (<-chan reconciler.Drift, error) {
	items, kinds, err := c.watched(layers)
	if err != nil {
		return nil, err
	}
	c.keepItems(layers)
	l := c.eyes.open(c, site, kinds)
	drifting := make(chan reconciler.Drift)
	go func() {
		defer close(drifting)
		defer c.eyes.close(l)
		c.report(ctx, newDrift(c.record, c.eyes.look, items), l, drifting)
	}()
	return drifting, nil
}

// watched lists the objects of each layer, and the version to watch each kind in.
func (c *Cluster) watched(layers []render.Layer) (map[string][]item, map[schema.GroupKind]string, error) {
	items := make(map[string][]item, len(layers))
	kinds := make(map[schema.GroupKind]string)
	for _, layer := range layers {
		decoded, err := c.itemsOf(layer)
		if err != nil {
			return nil, nil, fmt.Errorf("watch layer %s: %w", layer.Name, err)
		}
		items[layer.Name] = decoded
		for _, it := range decoded {
			kinds[it.gvk.GroupKind()] = it.gvk.Version
		}
	}
	return items, kinds, nil
}

// report feeds what watches see to the drift, and its decisions to the reader, until ctx ends.
func (c *Cluster) report(ctx context.Context, d *drift, l *listener, drifting chan<- reconciler.Drift) {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	d.observeAll(time.Now()) // the watches may be older than this
	fights := map[reconciler.Object]string{}
	var (
		found reconciler.Drift
		out   chan<- reconciler.Drift // nil while there is nothing to send
	)
	for {
		if out == nil {
			var pause time.Duration
			if found, pause = d.take(time.Now()); found.Layer != "" {
				out = drifting
				c.sayFights(found, fights)
			} else if pause >= 0 {
				timer.Reset(pause)
			}
		}
		select {
		case <-ctx.Done():
			return
		case out <- found:
			out = nil
		case <-l.news:
			now := time.Now()
			keys, all := c.eyes.take(l)
			if all {
				d.observeAll(now)
			}
			for _, k := range keys {
				d.observe(now, k)
			}
		case <-timer.C:
		}
	}
}

// sayFights logs once who fights for an object.
func (c *Cluster) sayFights(found reconciler.Drift, said map[reconciler.Object]string) {
	for _, o := range found.Objects {
		if o.Fight != "" && said[o.Object] != o.By {
			said[o.Object] = o.By
			c.log.Warn("object fought for", "layer", found.Layer, "object", o.Object.String(), "by", o.By, "what", o.Fight)
		}
	}
}

// keepItems forgets what is known of layers that are no more.
func (c *Cluster) keepItems(layers []render.Layer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	digests := make(map[string]string, len(layers))
	for _, l := range layers {
		digests[l.Name] = l.Digest
	}
	for name, known := range c.items {
		if digests[name] != known.digest {
			delete(c.items, name)
		}
	}
}
