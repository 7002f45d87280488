package kube

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// findings are why an object is not healthy, and what can be done about it.
type findings struct {
	texts []string
	tip   string
}

func (f *findings) add(text, tip string) {
	f.texts = append(f.texts, text)
	if f.tip == "" {
		f.tip = tip
	}
}

// diagnose says what an unhealthy object's kstatus does not: why its pods do
// not run, the last words of a container that ended, and what somebody warned
// about. It says what it can find.
func (c *Cluster) diagnose(ctx context.Context, from client.Client, u *unstructured.Unstructured, found *findings) {
	suspects := []client.Object{u}
	for _, pod := range podsOf(ctx, from, u) {
		if text, tip := podTrouble(&pod); text != "" {
			found.add(fmt.Sprintf("pod %s: %s", pod.Name, text), tip)
		}
		if len(suspects) == 1 { // pods of one owner mostly say the same
			if words := c.lastWords(ctx, &pod); words != "" {
				found.add(words, "")
			}
		}
		suspects = append(suspects, &pod)
		const most = 3 // likewise
		if len(suspects) > most {
			break
		}
	}
	for _, text := range lastWarnings(ctx, from, suspects) {
		found.add("warning: "+text, "")
	}
	if found.tip == "" && u.GetKind() == "PersistentVolumeClaim" {
		found.tip = "see that its storage class is there, and can make volumes: kubectl get storageclass"
	}
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
func podTrouble(pod *corev1.Pod) (text, tip string) {
	for _, cs := range slices.Concat(pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses) {
		if text := containerTrouble(cs); text != "" {
			return "container " + cs.Name + ": " + shorten(text, 300), containerTip(pod, cs)
		}
	}
	for _, cond := range pod.Status.Conditions {
		if cond.Status != corev1.ConditionTrue && cond.Type == corev1.PodScheduled {
			return shorten(cond.Reason+": "+cond.Message, 300), "see what the node has left: kubectl describe nodes"
		}
	}
	if pod.Status.Reason != "" {
		return shorten(pod.Status.Reason+": "+pod.Status.Message, 300), ""
	}
	return "", ""
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

func containerTip(pod *corev1.Pod, cs corev1.ContainerStatus) string {
	at := fmt.Sprintf("kubectl -n %s logs %s -c %s", pod.Namespace, pod.Name, cs.Name)
	switch {
	case cs.State.Waiting != nil && strings.Contains(cs.State.Waiting.Reason, "Image"):
		return "see that the image is in the profile's content.lock, and that the host has it or can reach its registry: " + cs.Image
	case cs.State.Waiting != nil && cs.LastTerminationState.Terminated != nil:
		return "see what it says: " + at + " --previous"
	case cs.State.Waiting == nil:
		return "see what it says: " + at
	}
	return ""
}

// lastWords are the last lines of the log of a container that ended badly.
func (c *Cluster) lastWords(ctx context.Context, pod *corev1.Pod) string {
	for _, cs := range slices.Concat(pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses) {
		now, before := cs.State.Terminated, cs.LastTerminationState.Terminated
		previous := now == nil
		if previous {
			now = before
		}
		if now == nil || now.ExitCode == 0 {
			continue
		}
		raw, err := c.raw()
		if err != nil {
			return ""
		}
		const lines, most = "30", 16 << 10
		ctx, cancel := context.WithTimeout(ctx, diagnosis/2)
		defer cancel()
		text, err := raw.Get().AbsPath("/api/v1/namespaces", pod.Namespace, "pods", pod.Name, "log").
			Param("container", cs.Name).Param("previous", strconv.FormatBool(previous)).
			Param("tailLines", lines).Param("limitBytes", strconv.Itoa(most)).Do(ctx).Raw()
		if err != nil || len(text) == 0 {
			return ""
		}
		return fmt.Sprintf("its last words: %q", wordsOf(string(text)))
	}
	return ""
}

// wordsOf is what tells most in the end of a log: all of it if it is short, or else its
// last lines, after the last one that calls itself an error, which a trace or the usage
// of a program may have left behind.
func wordsOf(log string) string {
	const short, end, line = 600, 300, 200
	log = strings.TrimSpace(log)
	if len(log) <= short {
		return strings.ToValidUTF8(log, "")
	}
	last := tail(log, end)
	for _, l := range slices.Backward(strings.Split(log[:len(log)-end], "\n")) {
		if low := strings.ToLower(l); strings.Contains(low, "panic:") || strings.Contains(low, "error") || strings.Contains(low, "fatal") {
			return strings.ToValidUTF8(l[:min(len(l), line)], "") + "\n" + last
		}
	}
	return last
}

// tail is the end of a text.
func tail(s string, most int) string {
	s = strings.TrimSpace(s)
	if len(s) > most {
		s = "… " + s[len(s)-most:]
	}
	return strings.ToValidUTF8(s, "")
}

// lastWarnings returns the newest warning events about any of the objects, each reason once.
func lastWarnings(ctx context.Context, c client.Client, objects []client.Object) []string {
	var events []corev1.Event
	for _, o := range objects {
		var list corev1.EventList
		const most = 200
		if err := c.List(ctx, &list, client.InNamespace(o.GetNamespace()), client.Limit(most),
			client.MatchingFields{"involvedObject.uid": string(o.GetUID()), "type": corev1.EventTypeWarning}); err != nil {
			continue
		}
		events = append(events, list.Items...)
	}
	slices.SortFunc(events, func(a, b corev1.Event) int { return eventTime(&b).Compare(eventTime(&a).Time) })
	var texts, reasons []string
	for _, e := range events {
		const most = 2
		if len(texts) < most && !slices.Contains(reasons, e.Reason) && e.ReportingController != reportingController {
			reasons = append(reasons, e.Reason)
			texts = append(texts, shorten(e.Reason+": "+e.Message, 300))
		}
	}
	return texts
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
