package kube

import (
	"context"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// diagnose says what an unhealthy object's kstatus does not: why its pods do
// not run, and the last thing somebody warned about. It says what it can find.
func diagnose(ctx context.Context, c client.Client, u *unstructured.Unstructured) []string {
	var texts []string
	suspects := []client.Object{u}
	for _, pod := range podsOf(ctx, c, u) {
		if text := podTrouble(&pod); text != "" {
			texts = append(texts, fmt.Sprintf("pod %s: %s", pod.Name, text))
		}
		suspects = append(suspects, &pod)
		const most = 3 // pods of one owner mostly have the same trouble
		if len(suspects) > most {
			break
		}
	}
	if text := lastWarning(ctx, c, suspects); text != "" {
		texts = append(texts, "last warning: "+text)
	}
	return texts
}

// podsOf returns some pods that a workload selects, or the pod itself.
func podsOf(ctx context.Context, c client.Client, u *unstructured.Unstructured) []corev1.Pod {
	if u.GroupVersionKind().GroupKind() == (corev1.SchemeGroupVersion.WithKind("Pod")).GroupKind() {
		var pod corev1.Pod
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(u.Object, &pod); err != nil {
			return nil
		}
		return []corev1.Pod{pod}
	}
	raw, found, err := unstructured.NestedMap(u.Object, "spec", "selector")
	if !found || err != nil || !slices.Contains([]string{"apps", "batch"}, u.GroupVersionKind().Group) {
		return nil
	}
	var declared metav1.LabelSelector
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(raw, &declared); err != nil {
		return nil
	}
	selector, err := metav1.LabelSelectorAsSelector(&declared)
	if err != nil || selector.Empty() || selector.String() == labels.Nothing().String() {
		return nil
	}
	const most = 50
	var list corev1.PodList
	if err := c.List(ctx, &list, client.InNamespace(u.GetNamespace()), client.MatchingLabelsSelector{Selector: selector}, client.Limit(most)); err != nil {
		return nil
	}
	return slices.DeleteFunc(list.Items, func(p corev1.Pod) bool { return podReady(&p) })
}

func podReady(pod *corev1.Pod) bool {
	for _, cond := range pod.Status.Conditions {
		if cond.Type == corev1.PodReady {
			return cond.Status == corev1.ConditionTrue
		}
	}
	return false
}

// podTrouble says in one line why a pod does not run: "container app: ImagePullBackOff: …".
func podTrouble(pod *corev1.Pod) string {
	for _, cs := range slices.Concat(pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses) {
		if text := containerTrouble(cs); text != "" {
			return "container " + cs.Name + ": " + shorten(text, 300)
		}
	}
	for _, cond := range pod.Status.Conditions {
		if cond.Status != corev1.ConditionTrue && cond.Type == corev1.PodScheduled {
			return shorten(cond.Reason+": "+cond.Message, 300)
		}
	}
	if pod.Status.Reason != "" {
		return shorten(pod.Status.Reason+": "+pod.Status.Message, 300)
	}
	return ""
}

func containerTrouble(cs corev1.ContainerStatus) string {
	last := cs.LastTerminationState.Terminated
	switch {
	case cs.State.Waiting != nil && last != nil:
		return fmt.Sprintf("%s: %s (it ended before: %s, exit code %d)", cs.State.Waiting.Reason, cs.State.Waiting.Message, last.Reason, last.ExitCode)
	case cs.State.Waiting != nil:
		return cs.State.Waiting.Reason + ": " + cs.State.Waiting.Message
	case cs.State.Terminated != nil && cs.State.Terminated.ExitCode != 0:
		end := cs.State.Terminated
		return fmt.Sprintf("%s: exit code %d: %s", end.Reason, end.ExitCode, end.Message)
	case cs.State.Running != nil && !cs.Ready:
		return "it runs, but its readiness probe does not succeed"
	default:
		return ""
	}
}

// lastWarning returns the newest warning event about any of the objects.
func lastWarning(ctx context.Context, c client.Client, objects []client.Object) string {
	var newest *corev1.Event
	for _, o := range objects {
		var list corev1.EventList
		const most = 200
		if err := c.List(ctx, &list, client.InNamespace(o.GetNamespace()), client.Limit(most),
			client.MatchingFields{"involvedObject.uid": string(o.GetUID()), "type": corev1.EventTypeWarning}); err != nil {
			continue
		}
		for n := range list.Items {
			if newest == nil || eventTime(&list.Items[n]).After(eventTime(newest).Time) {
				newest = &list.Items[n]
			}
		}
	}
	if newest == nil {
		return ""
	}
	return shorten(newest.Reason+": "+newest.Message, 300)
}

// eventTime is when an event last happened; which field says so depends on who reported it.
func eventTime(e *corev1.Event) metav1.Time {
	switch {
	case e.Series != nil:
		return metav1.Time{Time: e.Series.LastObservedTime.Time}
	case !e.LastTimestamp.IsZero():
		return e.LastTimestamp
	case !e.EventTime.IsZero():
		return metav1.Time{Time: e.EventTime.Time}
	default:
		return e.CreationTimestamp
	}
}
