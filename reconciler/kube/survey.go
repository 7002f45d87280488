package kube

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// surveyed is how many objects of a kind a survey lists.
const surveyed = 500

// Survey says in words how nodes and pods are, and what was warned about lately;
// nothing of what is in them.
func (c *Cluster) Survey(ctx context.Context) (string, error) {
	s, err := c.session()
	if err != nil {
		return "", err
	}
	var nodes corev1.NodeList
	var pods corev1.PodList
	var events corev1.EventList
	from := s.objects.Client()
	for _, list := range []client.ObjectList{&nodes, &pods, &events} {
		if err := from.List(ctx, list, client.Limit(surveyed)); err != nil {
			return "", fmt.Errorf("survey the cluster: %w", answered(ctx, err))
		}
	}
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "NODE\tVERSION\tCONDITIONS")
	for _, n := range nodes.Items {
		fmt.Fprintf(w, "%s\t%s\t%s\n", n.Name, n.Status.NodeInfo.KubeletVersion, nodeConditions(&n))
	}
	fmt.Fprintln(w, "\nPOD\tPHASE\tREADY\tRESTARTS\tTROUBLE")
	for _, p := range pods.Items {
		restarts := int32(0)
		for _, cs := range p.Status.ContainerStatuses {
			restarts += cs.RestartCount
		}
		trouble := ""
		if !podReady(&p) {
			trouble, _ = podTrouble(&p)
		}
		fmt.Fprintf(w, "%s/%s\t%s\t%t\t%d\t%s\n", p.Namespace, p.Name, p.Status.Phase, podReady(&p), restarts, trouble)
	}
	slices.SortFunc(events.Items, func(a, b corev1.Event) int { return eventTime(&a).Compare(eventTime(&b).Time) })
	fmt.Fprintln(w, "\nWARNING AT\tOBJECT\tREASON\tMESSAGE")
	for _, e := range events.Items {
		if e.Type == corev1.EventTypeWarning {
			fmt.Fprintf(w, "%s\t%s %s/%s\t%s\t%s\n", eventTime(&e).UTC().Format("2006-01-02T15:04:05Z"), e.InvolvedObject.Kind, e.InvolvedObject.Namespace, e.InvolvedObject.Name, e.Reason, shorten(e.Message, 300))
		}
	}
	if err := w.Flush(); err != nil {
		return "", err
	}
	return b.String(), nil
}

func nodeConditions(n *corev1.Node) string {
	var list []string
	for _, cond := range n.Status.Conditions {
		switch {
		case cond.Type == corev1.NodeReady && cond.Status == corev1.ConditionTrue:
			list = append(list, "Ready")
		case cond.Type == corev1.NodeReady, cond.Status != corev1.ConditionFalse:
			list = append(list, fmt.Sprintf("%s is %s: %s: %s", cond.Type, cond.Status, cond.Reason, shorten(cond.Message, 200)))
		}
	}
	return strings.Join(list, "; ")
}
