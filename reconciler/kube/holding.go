package kube

import (
	"context"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/holdfast-fleet/holdfast/reconciler"
)

// deleting says of an object that is on its way out who keeps it from going.
func (s *session) deleting(ctx context.Context, o reconciler.Object, live *metav1.PartialObjectMetadata) reconciler.Change {
	why := errDeleting{*live.DeletionTimestamp, live.Finalizers}.Error()
	if o.Group == "" && o.Kind == "Namespace" {
		if texts := s.remaining(ctx, o.Name); len(texts) > 0 {
			why += ": " + strings.Join(texts, "; ")
		}
	}
	return reconciler.Change{Object: o, Action: reconciler.Deleting, Why: why}
}

// remaining is what a namespace that is being deleted says of its content:
// which objects there are, and whose finalizers they wait for.
func (s *session) remaining(ctx context.Context, name string) []string {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	var ns corev1.Namespace
	if err := s.objects.Client().Get(ctx, client.ObjectKey{Name: name}, &ns); err != nil {
		return nil
	}
	telling := []corev1.NamespaceConditionType{
		corev1.NamespaceContentRemaining, corev1.NamespaceFinalizersRemaining,
		corev1.NamespaceDeletionDiscoveryFailure, corev1.NamespaceDeletionContentFailure, corev1.NamespaceDeletionGVParsingFailure,
	}
	var texts []string
	for _, cond := range ns.Status.Conditions {
		if cond.Status == corev1.ConditionTrue && slices.Contains(telling, cond.Type) {
			texts = append(texts, shorten(cond.Message, 300))
		}
	}
	return texts
}
