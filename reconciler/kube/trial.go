package kube

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/version"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/holdfast-fleet/holdfast/fleet"
	"github.com/holdfast-fleet/holdfast/reconciler"
	"github.com/holdfast-fleet/holdfast/render"
	"github.com/holdfast-fleet/holdfast/review"
)

// Trial is an API server to try layers on. They are applied by the code that
// applies them on hosts, but for what would make the API server ask others:
// that is checked and not stored, because nobody answers there.
type Trial struct {
	cluster *Cluster
	stop    func() error
	canary  int // how many there were
}

var _ review.Server = (*Trial)(nil)

// NewTrial makes a server for a review of a cluster that nobody else uses. stop ends it.
func NewTrial(c *Cluster, stop func() error) *Trial { return &Trial{cluster: c, stop: stop} }

// Close ends the server.
func (t *Trial) Close() error { return t.stop() }

// Version is that of the server's Kubernetes: v1.36.3.
func (t *Trial) Version(ctx context.Context) (string, error) {
	raw, err := t.cluster.raw()
	if err != nil {
		return "", err
	}
	data, err := raw.Get().AbsPath("/version").Do(ctx).Raw()
	if err != nil {
		return "", fmt.Errorf("ask %s for its version: %w", t.cluster.config.Host, err)
	}
	var info version.Info
	err = json.Unmarshal(data, &info)
	return info.GitVersion, err
}

// Apply applies layers one after the other, and says what became of each object.
func (t *Trial) Apply(ctx context.Context, site string, layers []render.Layer) ([]review.Outcome, error) {
	run := trialRun{Trial: t, site: site, kinds: kindsOf(layers), witness: &witness{}}
	for _, l := range layers {
		if err := run.layer(withWitness(ctx, run.witness), l); err != nil {
			return nil, err
		}
	}
	return run.outcomes(ctx)
}

// Remove deletes a layer's objects.
func (t *Trial) Remove(ctx context.Context, site string, layer render.Layer) error {
	items, err := decode(layer)
	if err != nil {
		return err
	}
	var objects []reconciler.Object
	for _, it := range items {
		objects = append(objects, it.object)
	}
	_, err = t.cluster.Delete(ctx, site, objects)
	return err
}

// trialRun is one Apply under way.
type trialRun struct {
	*Trial
	site    string
	kinds   kinds
	witness *witness
	tried   []tried
}

// tried is an object that was applied, or not.
type tried struct {
	item
	layer string
	err   error
	live  *unstructured.Unstructured // known already, of what is not stored
}

// layer applies one layer; its error says that going on is of no use.
func (r *trialRun) layer(ctx context.Context, l render.Layer) error {
	items, err := decode(l)
	if err != nil { // a host applies none of it
		r.tried = append(r.tried, tried{layer: l.Name, err: err})
		return nil
	}
	stored := l
	stored.Objects, stored.Digest = nil, "" // it may be a part of what the digest is of
	for _, it := range items {
		if !asksOthers(it) {
			stored.Objects = append(stored.Objects, takeable(it))
		}
	}
	failed, err := r.insist(ctx, stored)
	if err != nil {
		return err
	}
	policies := false
	for _, it := range items {
		one := tried{item: it, layer: l.Name, err: failed[it.object]}
		if asksOthers(it) {
			one.live, one.err = r.check(ctx, l.Name, it)
		}
		policies = policies || one.err == nil && judges(it)
		r.tried = append(r.tried, one)
	}
	if policies {
		return r.settle(ctx)
	}
	return nil
}

// insist applies a layer, again while what failed is about to pass by itself,
// and returns the errors of objects.
func (r *trialRun) insist(ctx context.Context, l render.Layer) (map[reconciler.Object]error, error) {
	const patience = 20 * time.Second
	for until := time.Now().Add(patience); ; {
		_, err := r.cluster.Apply(ctx, r.site, l)
		failed, passing, err := sortOut(err)
		if err != nil {
			return nil, err
		}
		if !passing || time.Now().After(until) || !sleep(ctx, firstPoll) {
			return failed, ctx.Err()
		}
	}
}

// sortOut takes apart what Apply returns: errors of objects, whether one of
// them passes by itself, and what is wrong with the server.
func sortOut(err error) (failed map[reconciler.Object]error, passing bool, broken error) {
	failed = map[reconciler.Object]error{}
	for _, err := range leaves(err) {
		var of *reconciler.ObjectError
		if !errors.As(err, &of) {
			return nil, false, err
		}
		failed[of.Object] = of
		passing = passing || passes(of.Err)
	}
	return failed, passing, nil
}

// leaves are the errors that were joined.
func leaves(err error) []error {
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return slices.DeleteFunc([]error{err}, func(err error) bool { return err == nil })
	}
	var list []error
	for _, err := range joined.Unwrap() {
		list = append(list, leaves(err)...)
	}
	return list
}

// passes reports what every API server answers now and then, and what waits
// for a controller: the account that a new namespace gets, a quota's first count.
func passes(err error) bool {
	if apierrors.IsForbidden(err) {
		words := err.Error()
		return strings.Contains(words, "status unknown for quota") ||
			strings.Contains(words, "error looking up service account") && strings.Contains(words, "/default: ")
	}
	return apierrors.IsServerTimeout(err) || apierrors.IsTooManyRequests(err) || apierrors.IsConflict(err)
}

// check lets the API server judge an object without storing it, and returns
// what it would have stored.
func (r *trialRun) check(ctx context.Context, layer string, it item) (*unstructured.Unstructured, error) {
	s, err := r.cluster.session()
	if err != nil {
		return nil, err
	}
	value, err := it.value(map[string]string{fleet.SiteLabel: r.site, fleet.LayerLabel: layer})
	if err != nil {
		return nil, err
	}
	body, err := value.MarshalJSON()
	if err != nil {
		return nil, err
	}
	live := &unstructured.Unstructured{}
	live.SetGroupVersionKind(it.gvk)
	live.SetName(it.object.Name)
	ans, err := r.cluster.write(ctx, func(ctx context.Context) error {
		return s.objects.Client().Patch(ctx, live, serverSideApply(body), client.FieldOwner(FieldManager), client.ForceOwnership, client.DryRunAll)
	})
	tellWitness(ctx, it.object, ans.warnings)
	if err != nil {
		return nil, objectError("apply", it.object, err)
	}
	return live, nil
}

// outcomes reads what is on the server now.
func (r *trialRun) outcomes(ctx context.Context) ([]review.Outcome, error) {
	s, err := r.cluster.session()
	if err != nil {
		return nil, err
	}
	out := make([]review.Outcome, len(r.tried))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(workers)
	for n, one := range r.tried {
		group.Go(func() error {
			if one.err == nil && one.live == nil {
				one.live = &unstructured.Unstructured{}
				one.live.SetGroupVersionKind(one.gvk)
				err := s.objects.Client().Get(ctx, client.ObjectKey{Namespace: namespaceOf(one.object), Name: one.object.Name}, one.live)
				if err != nil {
					one.err = objectError("read", one.object, err)
				}
			}
			var err error
			out[n], err = r.outcome(one)
			return err
		})
	}
	return out, group.Wait()
}
