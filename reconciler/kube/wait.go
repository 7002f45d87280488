package kube

import (
	"context"
	"errors"
	"fmt"
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
	perObject = 2 * time.Millisecond // more between looks at many objects
	diagnosis = 5 * time.Second      // for finding out why, after the time for waiting is over
)

// Wait implements [reconciler.Cluster]: by kstatus, by whether Jobs are complete,
// and by the expressions and probes of the layer. If all that is known when ctx
// ends is that the API server does not answer, the error is [reconciler.ErrUnreachable].
func (c *Cluster) Wait(ctx context.Context, layer render.Layer) error {
	items, err := c.itemsOf(layer)
	if err != nil {
		return err
	}
	jury, err := newJury(layer.Health)
	if err != nil {
		return fmt.Errorf("wait for layer %s: %w", layer.Name, err)
	}
	var left []*waited
	for _, it := range items {
		_, applied := c.record.get(keyOf(it.object))
		judge := jury.of(it.object)
		if !applied || judge != nil || !healthyByBeing(it.gvk.GroupKind()) {
			left = append(left, &waited{item: it, judge: judge, verdict: verdict{status: status.UnknownStatus, message: "it was not looked at yet"}})
		}
	}
	for pause := firstPoll; len(left) > 0; pause = min(pause*5/4, lastPoll) {
		c.look(ctx, left)
		left = slices.DeleteFunc(left, func(w *waited) bool { return w.status == status.CurrentStatus })
		reconciler.Looked(ctx, func() []reconciler.Unhealthy { return seenOf(left) })
		if len(left) == 0 || hopeless(left) || !sleep(ctx, pause+time.Duration(len(left))*perObject) {
			break
		}
	}
	if len(left) > 0 {
		return c.unhealthy(ctx, layer.Name, left)
	}
	if failing := probe(ctx, layer.Probes); len(failing) > 0 {
		return &reconciler.UnhealthyError{Layer: layer.Name, Probes: failing, Err: ctx.Err()}
	}
	return nil
}

// hopeless says whether nothing better can come: one object has failed for good, or all have failed.
func hopeless(left []*waited) bool {
	return slices.ContainsFunc(left, func(w *waited) bool { return w.final }) ||
		!slices.ContainsFunc(left, func(w *waited) bool { return w.status != status.FailedStatus })
}

// seenOf says of each object what the last look at it showed.
func seenOf(left []*waited) []reconciler.Unhealthy {
	list := make([]reconciler.Unhealthy, len(left))
	for i, w := range left {
		list[i] = reconciler.Unhealthy{Object: w.item.object, Status: string(w.status), Why: shorten(w.message, 500)}
	}
	return list
}

// waited is an object that is not healthy yet.
type waited struct {
	item  item
	judge *judge                     // nil: by what is known of its kind
	live  *unstructured.Unstructured // nil if it is not there
	err   error                      // of the last look
	verdict
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
		w.err, w.verdict = err, verdict{status: status.UnknownStatus, message: err.Error()}
		return
	}
	reqCtx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	u := &unstructured.Unstructured{}
	u.SetGroupVersionKind(w.item.gvk)
	err = s.objects.Client().Get(reqCtx, client.ObjectKey{Namespace: namespaceOf(w.item.object), Name: w.item.object.Name}, u)
	if ctx.Err() != nil {
		return // what was seen last says more
	}
	w.err = answered(ctx, err)
	switch {
	case (isNoMatch(err) || apierrors.IsNotFound(err)) && c.finished(w.item):
		w.verdict = verdict{status: status.CurrentStatus}
	case isNoMatch(err), apierrors.IsNotFound(err):
		w.live, w.verdict = nil, verdict{status: status.NotFoundStatus, message: "it is not in the cluster"}
	case err != nil:
		w.verdict = verdict{status: status.UnknownStatus, message: reason(err)}
	default:
		w.live, w.verdict = u, w.judge.judge(u)
	}
}

// finished says whether an object that was applied is of those that go by
// themselves when they have done their work: Jobs with a time to live.
func (c *Cluster) finished(it item) bool {
	_, applied := c.record.get(keyOf(it.object))
	return applied && it.fleeting()
}

// unhealthy explains each object that is left.
func (c *Cluster) unhealthy(ctx context.Context, layer string, left []*waited) error {
	if !slices.ContainsFunc(left, func(w *waited) bool { return !errors.Is(w.err, reconciler.ErrUnreachable) }) {
		return fmt.Errorf("wait for layer %s: %w", layer, left[0].err)
	}
	e := &reconciler.UnhealthyError{Layer: layer, Err: ctx.Err()}
	why, cancel := context.WithTimeout(context.WithoutCancel(ctx), diagnosis)
	defer cancel()
	for _, w := range left {
		found := findings{texts: []string{shorten(w.message, 500)}}
		if s, err := c.session(); err == nil && w.live != nil {
			c.diagnose(why, s.objects.Client(), w.live, &found)
		}
		e.Objects = append(e.Objects, reconciler.Unhealthy{
			Object: w.item.object, Status: string(w.status), Why: strings.Join(found.texts, "; "), Tip: found.tip})
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
