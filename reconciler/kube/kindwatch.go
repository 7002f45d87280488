package kube

import (
	"context"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"

	"github.com/holdfast-fleet/holdfast/fleet"
)

// kindWatch follows the metadata of one kind's objects that carry the site's
// label. It is the store that a client-go reflector fills, and tells the eyes.
type kindWatch struct {
	cluster *Cluster
	gvk     schema.GroupVersionKind
	site    string
	stop    context.CancelFunc

	// Guarded by the lock of the eyes:
	listed bool            // they know all there is
	open   watch.Interface // streams what changes to them
	whole  bool            // they know all there was when that began
}

// run watches until ctx ends. While the kind is not served, it looks for it again.
func (k *kindWatch) run(ctx context.Context) {
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
		o.LabelSelector = fleet.SiteLabel + "=" + k.site
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
			if err != nil {
				return nil, err
			}
			return k.stream(w, o.SendInitialEvents != nil && *o.SendInitialEvents), nil
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

// stream passes a watch on, and tells the eyes when it begins, when it has come up to
// that time, and when it ends. One that lists all at first comes up by Replace, any
// other by a bookmark.
func (k *kindWatch) stream(from watch.Interface, lists bool) watch.Interface {
	out := make(chan watch.Event)
	to := watch.NewProxyWatcher(out)
	k.cluster.eyes.opens(k, to)
	go func() {
		defer close(out)
		defer k.cluster.eyes.ends(k, to)
		defer from.Stop()
		for {
			select {
			case e, more := <-from.ResultChan():
				if !more {
					return
				}
				select {
				case out <- e:
				case <-to.StopChan():
					return
				}
				if e.Type == watch.Bookmark && !lists {
					k.cluster.eyes.catches(k, to)
				}
			case <-to.StopChan():
				return
			}
		}
	}()
	return to
}

// Add implements cache.ReflectorStore.
func (k *kindWatch) Add(obj any) error { return k.Update(obj) }

// Update implements cache.ReflectorStore.
func (k *kindWatch) Update(obj any) error {
	m, err := meta.Accessor(obj)
	if err != nil {
		return err
	}
	if m.GetDeletionTimestamp() != nil {
		k.cluster.eyes.leaves(k, k.key(m))
		return nil
	}
	k.cluster.eyes.saw(k, k.key(m), k.sight(m))
	return nil
}

// Delete implements cache.ReflectorStore.
func (k *kindWatch) Delete(obj any) error {
	m, err := meta.Accessor(obj)
	if err != nil {
		return err
	}
	k.cluster.eyes.saw(k, k.key(m), sight{state: gone})
	return nil
}

// Replace implements cache.ReflectorStore: the list is all that there is.
func (k *kindWatch) Replace(list []any, _ string) error {
	seen := make(map[key]sight, len(list))
	for _, obj := range list {
		m, err := meta.Accessor(obj)
		if err != nil {
			return err
		}
		seen[k.key(m)] = k.sight(m)
	}
	k.cluster.eyes.sawAll(k, seen)
	return nil
}

// Resync implements cache.ReflectorStore.
func (k *kindWatch) Resync() error { return nil }

func (k *kindWatch) key(m metav1.Object) key {
	return key{k.gvk.Group, k.gvk.Kind, m.GetNamespace(), m.GetName()}
}

func (k *kindWatch) sight(m metav1.Object) sight {
	s := sight{state: there, print: ownedOf(m).print, place: placeOf(m)}
	at := k.key(m)
	if at.namespace == "" {
		at.namespace = "default"
	}
	if a, known := k.cluster.record.get(at); known && a.owned.print != s.print {
		s.by, s.fields = blame(a.owned, m)
	}
	return s
}
