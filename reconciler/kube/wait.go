package kube

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	"golang.org/x/sync/errgroup"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/holdfast-fleet/holdfast/reconciler"
	"github.com/holdfast-fleet/holdfast/render"
)

const (
	firstPoll = 100 * time.Millisecond
	lastPoll  = 2 * time.Second
	diagnosis = 5 * time.Second // for finding out why, after the time for waiting is over
)

// Wait returns once every object of the layer is healthy. If ctx ends before,
// or all objects that are left have failed, it returns a [reconciler.UnhealthyError].
func (c *Cluster) Wait(ctx context.Context, layer render.Layer) error {
	items, err := c.itemsOf(layer)
	if err != nil {
		return err
	}
	var left []*waited
	for _, it := range items {
		_, applied := c.record.get(keyOf(it.object))
		if !applied || !healthyByBeing(it.gvk.GroupKind()) {
			left = append(left, &waited{item: it, status: status.UnknownStatus, message: "it was not looked at yet"})
		}
	}
	for pause := firstPoll; len(left) > 0; pause = min(pause*5/4, lastPoll) {
		c.look(ctx, left)
		left = slices.DeleteFunc(left, func(w *waited) bool { return w.status == status.CurrentStatus })
		failed := !slices.ContainsFunc(left, func(w *waited) bool { return w.status != status.FailedStatus })
		if len(left) == 0 {
			return nil
		}
		if failed || !sleep(ctx, pause) {
			break
		}
	}
	if len(left) == 0 {
		return nil
	}
	return c.notReady(ctx, layer.Name, left)
}

// waited is an object that is not healthy yet.
type waited struct {
	item    item
	live    *unstructured.Unstructured // nil if it is not there
	status  status.Status
	message string
}

// look updates the status of each object.
func (c *Cluster) look(ctx context.Context, left []*waited) {
	var group errgroup.Group
	group.SetLimit(workers)
	for _, w := range left {
		group.Go(func() error {
			c.lookAt(ctx, w)
			return nil
		})
	}
	_ = group.Wait() // what went wrong is in each object's status
}

func (c *Cluster) lookAt(ctx context.Context, w *waited) {
	s, err := c.session()
	if err != nil {
		w.status, w.message = status.UnknownStatus, err.Error()
		return
	}
	reqCtx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	u := &unstructured.Unstructured{}
	u.SetGroupVersionKind(w.item.gvk)
	err = s.objects.Client().Get(reqCtx, client.ObjectKey{Namespace: namespaceOf(w.item.object), Name: w.item.object.Name}, u)
	switch {
	case ctx.Err() != nil:
		return // what was seen last says more
	case isNoMatch(err), apierrors.IsNotFound(err):
		w.live, w.status, w.message = nil, status.NotFoundStatus, "it is not in the cluster"
		return
	case err != nil:
		w.status, w.message = status.UnknownStatus, reason(err)
		return
	}
	w.live = u
	result, err := status.Compute(u)
	if err != nil {
		w.status, w.message = status.UnknownStatus, err.Error()
		return
	}
	w.status, w.message = result.Status, result.Message
}

// notReady explains each object that is left.
func (c *Cluster) notReady(ctx context.Context, layer string, left []*waited) error {
	e := &reconciler.UnhealthyError{Layer: layer, Err: ctx.Err()}
	why, cancel := context.WithTimeout(context.WithoutCancel(ctx), diagnosis)
	defer cancel()
	for _, w := range left {
		texts := []string{shorten(w.message, 500)}
		if s, err := c.session(); err == nil && w.live != nil {
			texts = append(texts, diagnose(why, s.objects.Client(), w.live)...)
		}
		e.Objects = append(e.Objects, reconciler.Unhealthy{Object: w.item.object, Status: string(w.status), Why: strings.Join(texts, "; ")})
	}
	return e
}

// healthyByBeing says whether objects of a kind have no status: applied is healthy.
func healthyByBeing(gk schema.GroupKind) bool {
	switch gk.Group {
	case "":
		return slices.Contains([]string{"ConfigMap", "Secret", "ServiceAccount", "LimitRange"}, gk.Kind)
	case "rbac.authorization.k8s.io", "scheduling.k8s.io", "storage.k8s.io", "node.k8s.io":
		return true
	case "networking.k8s.io":
		return slices.Contains([]string{"NetworkPolicy", "IngressClass"}, gk.Kind)
	}
	return false
}
