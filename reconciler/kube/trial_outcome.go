package kube

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/holdfast-fleet/holdfast/fleet"
	"github.com/holdfast-fleet/holdfast/reconciler"
	"github.com/holdfast-fleet/holdfast/render"
	"github.com/holdfast-fleet/holdfast/review"
)

// outcome says what became of one object.
func (r *trialRun) outcome(one tried) (review.Outcome, error) {
	o := one.object
	out := review.Outcome{Layer: one.layer, APIVersion: one.gvk.GroupVersion().String(), Kind: o.Kind, Namespace: o.Namespace, Name: o.Name, Warnings: r.witness.of(o)}
	if one.err == nil && asksOthers(one.item) {
		out.Untried = unasked(one)
	}
	if one.err == nil {
		live, err := asDeclared(one.live)
		out.Live = live
		return out, err
	}
	if out.Untried = r.untried(one); out.Untried != "" {
		return out, nil
	}
	var of *reconciler.ObjectError
	if !errors.As(one.err, &of) {
		out.Refused = strings.Join(strings.Fields(one.err.Error()), " ")
		return out, nil
	}
	out.Refused, out.Hint = of.Reason, of.Tip
	out.Recreate = isImmutable(of.Err)
	out.Missing = isNoMatch(of.Err) || isNoNamespace(of.Err)
	if known, sealed := splitCauses(one); causes(sealed) != "" && !out.Recreate {
		out.Refused = causes(known)
		out.Untried = "what is encrypted in it is not known here, and the API server does not take what stands for it: " + causes(sealed)
	}
	return out, nil
}

// unasked says what is not seen because others are not asked.
func unasked(one tried) string {
	if one.gvk.Kind == "APIService" {
		return "no pods run here, so the kinds that it serves are not there"
	}
	text := "no pods run here, so its webhooks are not asked what they make of other objects"
	hooks, _, _ := unstructured.NestedSlice(one.live.Object, "webhooks")
	for _, hook := range hooks {
		if m, ok := hook.(map[string]any); ok && m["failurePolicy"] == "Fail" {
			return text + "; on hosts, what they match is refused while they do not answer"
		}
	}
	return text
}

// untried says why this server cannot judge an object that it did not take.
func (r *trialRun) untried(one tried) string {
	switch words := one.err.Error(); {
	case strings.Contains(words, "conversion webhook for "):
		return "a webhook converts its versions, and nobody answers for it here"
	case !isNoMatch(one.err):
		return ""
	case r.kinds.aggregated[one.gvk.GroupVersion().String()]:
		return "an API server of its own serves this kind, and it does not run here"
	case !strings.Contains(one.gvk.Group, "."), r.kinds.defined[one.gvk.Group]:
		return "" // Kubernetes' own, or a layer's: it should be served
	case r.serves(one.gvk.Group):
		return ""
	}
	return "no layer defines this kind, so a real cluster must have it from elsewhere"
}

// serves tells whether the server knows an API group, whatever kinds are in it.
func (r *trialRun) serves(group string) bool {
	raw, err := r.cluster.raw()
	if err != nil {
		return false
	}
	ctx, cancel := context.WithTimeout(context.Background(), requestTimeout)
	defer cancel()
	return raw.Get().AbsPath("/apis/"+group).Do(ctx).Error() == nil
}

// kinds are what layers add to an API.
type kinds struct {
	defined    map[string]bool // groups that have a CustomResourceDefinition
	aggregated map[string]bool // GROUP/VERSION that an APIService names
}

func kindsOf(layers []render.Layer) kinds {
	k := kinds{map[string]bool{}, map[string]bool{}}
	for _, l := range layers {
		for _, raw := range l.Objects {
			var o struct {
				Kind string
				Spec struct{ Group, Version string }
			}
			if json.Unmarshal(raw, &o) != nil {
				continue // has a kind or a spec of its own form
			}
			switch o.Kind {
			case "CustomResourceDefinition":
				k.defined[o.Spec.Group] = true
			case "APIService":
				k.aggregated[o.Spec.Group+"/"+o.Spec.Version] = true
			}
		}
	}
	return k
}

// asksOthers reports objects that make the API server ask somebody else.
func asksOthers(it item) bool {
	switch it.gvk.Group {
	case "admissionregistration.k8s.io":
		return strings.HasSuffix(it.gvk.Kind, "WebhookConfiguration")
	case "apiregistration.k8s.io":
		return it.gvk.Kind == "APIService"
	}
	return false
}

// judges reports objects by which the API server itself judges others.
func judges(it item) bool {
	return it.gvk.Group == "admissionregistration.k8s.io" && !asksOthers(it)
}

// asDeclared is an object without what the API server alone says of it.
func asDeclared(live *unstructured.Unstructured) (json.RawMessage, error) {
	for _, field := range []string{"uid", "resourceVersion", "generation", "creationTimestamp", "managedFields", "selfLink"} {
		unstructured.RemoveNestedField(live.Object, "metadata", field)
	}
	for _, label := range []string{fleet.SiteLabel, fleet.LayerLabel} {
		unstructured.RemoveNestedField(live.Object, "metadata", "labels", label)
	}
	if len(live.GetLabels()) == 0 {
		unstructured.RemoveNestedField(live.Object, "metadata", "labels")
	}
	delete(live.Object, "status")
	showSealed(live)
	data, err := json.Marshal(live.Object)
	if err != nil {
		return nil, fmt.Errorf("read %s %s: %w", live.GetKind(), live.GetName(), err)
	}
	return data, nil
}

// witness collects what the API server warns about, by object.
type witness struct {
	mu   sync.Mutex
	said map[reconciler.Object][]string
}

type witnessKey struct{}

func withWitness(ctx context.Context, w *witness) context.Context {
	return context.WithValue(ctx, witnessKey{}, w)
}

func tellWitness(ctx context.Context, o reconciler.Object, warnings []string) {
	w, ok := ctx.Value(witnessKey{}).(*witness)
	if !ok || len(warnings) == 0 {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.said == nil {
		w.said = map[reconciler.Object][]string{}
	}
	for _, text := range warnings {
		if !slices.Contains(w.said[o], text) {
			w.said[o] = append(w.said[o], text)
		}
	}
}

func (w *witness) of(o reconciler.Object) []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.said[o]
}
