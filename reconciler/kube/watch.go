package kube

import (
	"context"
	"fmt"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"

	"github.com/holdfast-fleet/holdfast/reconciler"
	"github.com/holdfast-fleet/holdfast/render"
)

// Watch sends a layer's name when an object of it was deleted, or lost a field
// that was applied. It keeps metadata fingerprints only, follows the API server
// through restarts, and kinds through their coming and going. One layer that
// keeps drifting is sent ever more rarely, down to once in 30 s. The channel is
// closed once ctx ended and all goroutines with it.
func (c *Cluster) Watch(ctx context.Context, site string, layers []render.Layer) (<-chan string, error) {
	items := make(map[string][]item, len(layers))
	kinds := make(map[schema.GroupKind]*kindWatch)
	for _, layer := range layers {
		decoded, err := decode(site, layer)
		if err != nil {
			return nil, fmt.Errorf("watch layer %s: %w", layer.Name, err)
		}
		items[layer.Name] = decoded
		for _, it := range decoded {
			gk := it.gvk.GroupKind()
			if kinds[gk] == nil {
				kinds[gk] = &kindWatch{cluster: c, gvk: it.gvk, site: site}
			}
			kinds[gk].keys = append(kinds[gk].keys, keyOf(it.object))
		}
	}
	sights := make(chan []sighting)
	var watches sync.WaitGroup
	for _, k := range kinds {
		k.sights = sights
		watches.Go(func() { k.run(ctx) })
	}
	drifting := make(chan string)
	go func() {
		defer close(drifting)
		defer watches.Wait()
		report(ctx, newDrift(c.record, layers, items), sights, drifting)
	}()
	return drifting, nil
}

// report feeds what watches see to the drift, and its decisions to the reader, until ctx ends.
func report(ctx context.Context, d *drift, sights <-chan []sighting, drifting chan<- string) {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	var (
		layer string
		out   chan<- string // nil while there is no layer to send
	)
	for {
		if out == nil {
			var pause time.Duration
			if layer, pause = d.take(time.Now()); layer != "" {
				out = drifting
			} else if pause >= 0 {
				timer.Reset(pause)
			}
		}
		select {
		case <-ctx.Done():
			return
		case out <- layer:
			out = nil
		case seen := <-sights:
			now := time.Now()
			for _, s := range seen {
				d.observe(now, s.key, s.sight)
			}
		case <-timer.C:
		}
	}
}

type sighting struct {
	key   key
	sight sight
}

// kindWatch follows the metadata of one kind's objects that carry the site's
// label. It is the store that a client-go reflector fills, and stores nothing.
type kindWatch struct {
	cluster *Cluster
	gvk     schema.GroupVersionKind
	site    string
	keys    []key // the objects of this kind that layers declare
	sights  chan<- []sighting
	ctx     context.Context // of the reflector that fills this store
}

// run watches until ctx ends. While the kind is not served, it looks for it again.
func (k *kindWatch) run(ctx context.Context) {
	k.ctx = ctx
	const lookAgain = time.Second
	for ctx.Err() == nil {
		s, err := k.cluster.session()
		if err != nil {
			sleep(ctx, lookAgain)
			continue
		}
		mapping, err := s.mapper.RESTMapping(k.gvk.GroupKind(), k.gvk.Version)
		if err != nil {
			k.cluster.log.Debug("kind not watched yet", "kind", k.gvk.Kind, "err", err)
			sleep(ctx, lookAgain)
			continue
		}
		k.follow(ctx, s, mapping)
		k.cluster.forget(s)
		sleep(ctx, lookAgain)
	}
}

// follow watches one resource until ctx ends, or the resource is no longer served.
func (k *kindWatch) follow(ctx context.Context, s *session, mapping *meta.RESTMapping) {
	ctx, cancel := context.WithCancel(klog.NewContext(ctx, klog.Logger{}))
	defer cancel()
	resource := s.meta.Resource(mapping.Resource)
	sited := func(o metav1.ListOptions) metav1.ListOptions {
		o.LabelSelector = SiteLabel + "=" + k.site
		return o
	}
	lw := &cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
			list, err := resource.List(ctx, sited(o))
			if isNoMatch(err) {
				cancel()
			}
			return list, err
		},
		WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
			w, err := resource.Watch(ctx, sited(o))
			if isNoMatch(err) {
				cancel()
			}
			return w, err
		},
	}
	r := cache.NewReflectorWithOptions(cache.ToListWatcherWithWatchListSemantics(lw, s.meta), &metav1.PartialObjectMetadata{}, k,
		cache.ReflectorOptions{
			Name:            "holdfast",
			TypeDescription: k.gvk.Kind,
			Logger:          &klog.Logger{},
			Backoff:         &wait.Backoff{Duration: 200 * time.Millisecond, Factor: 1.6, Jitter: 0.5, Steps: 10, Cap: 15 * time.Second},
		})
	r.RunWithContext(ctx)
}

// Add implements cache.ReflectorStore.
func (k *kindWatch) Add(obj any) error { return k.Update(obj) }

// Update implements cache.ReflectorStore.
func (k *kindWatch) Update(obj any) error {
	m, err := meta.Accessor(obj)
	if err != nil {
		return err
	}
	if m.GetDeletionTimestamp() == nil { // else it can only be made anew once it is gone
		k.send([]sighting{k.sighting(m)})
	}
	return nil
}

// Delete implements cache.ReflectorStore.
func (k *kindWatch) Delete(obj any) error {
	m, err := meta.Accessor(obj)
	if err != nil {
		return err
	}
	k.send([]sighting{{key: k.sighting(m).key, sight: sight{gone: true}}})
	return nil
}

// Replace implements cache.ReflectorStore: the list is all that there is.
func (k *kindWatch) Replace(list []any, _ string) error {
	there := make(map[key]bool, len(list))
	var seen []sighting
	for _, obj := range list {
		m, err := meta.Accessor(obj)
		if err != nil {
			return err
		}
		s := k.sighting(m)
		there[s.key] = true
		if m.GetDeletionTimestamp() == nil {
			seen = append(seen, s)
		}
	}
	for _, key := range k.keys {
		if !there[key] {
			seen = append(seen, sighting{key: key, sight: sight{gone: true}})
		}
	}
	k.send(seen)
	return nil
}

// Resync implements cache.ReflectorStore.
func (k *kindWatch) Resync() error { return nil }

func (k *kindWatch) sighting(m metav1.Object) sighting {
	fields, _ := ownership(m)
	s := sighting{sight: sight{fields: fields}}
	s.key = keyOf(reconciler.Object{Group: k.gvk.Group, Kind: k.gvk.Kind, Namespace: m.GetNamespace(), Name: m.GetName()})
	if m.GetNamespace() == "" { // of a cluster-wide kind, whatever namespace is declared
		for _, declared := range k.keys {
			if declared.name == s.key.name {
				s.key = declared
			}
		}
	}
	return s
}

func (k *kindWatch) send(seen []sighting) {
	select {
	case k.sights <- seen:
	case <-k.ctx.Done():
	}
}
