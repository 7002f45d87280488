package review

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	admission "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/holdfast-fleet/holdfast/fleet"
	"github.com/holdfast-fleet/holdfast/render"
)

// webhook is what both kinds of webhooks have
// (https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/).
type webhook struct {
	Name                              string
	Rules                             []admission.RuleWithOperations
	FailurePolicy                     admission.FailurePolicyType
	NamespaceSelector, ObjectSelector *metav1.LabelSelector
	MatchConditions                   []admission.MatchCondition
}

// configuresWebhooks tells whether an object says when the API server asks which webhook.
func configuresWebhooks(o render.Shape) bool {
	return groupOf(o.APIVersion) == admission.GroupName && strings.HasSuffix(o.Kind, "WebhookConfiguration")
}

// webhookFaults names the webhooks without whose answer the agent could not write its
// Lease or its inventory: nothing is applied without these, so that a webhook whose
// pods are down would keep out the commit that mends it, too.
func webhookFaults(object render.Shape, raw json.RawMessage, site *fleet.Site) (found []fault) {
	var config struct{ Webhooks []webhook }
	if !configuresWebhooks(object) || json.Unmarshal(raw, &config) != nil { // the schema says what is wrong with it
		return nil
	}
	for i, w := range config.Webhooks {
		if resource := w.keepsOut(site.Name); resource != "" {
			found = append(found, fault{fleet.Problem{
				Rule: fleet.RuleWebhookReach,
				Msg:  fmt.Sprintf("webhook %s decides about %s in %s: while it does not answer, hosts apply nothing, nor what would mend it", w.Name, resource, fleet.SystemNamespace),
				Tip: fmt.Sprintf("leave it out: namespaceSelector: {matchExpressions: [{key: %s, operator: NotIn, values: [%s]}]}; or, if it may be passed over: failurePolicy: Ignore",
					corev1.LabelMetadataName, fleet.SystemNamespace),
			}, []string{"webhooks", strconv.Itoa(i)}})
		}
	}
	return found
}

// keepsOut names what of Holdfast's own the webhook must be asked about before it is
// written, as the API server finds out; empty: nothing, or it depends on the object.
func (w webhook) keepsOut(site string) string {
	if w.FailurePolicy == admission.Ignore || len(w.MatchConditions) > 0 ||
		!selects(w.NamespaceSelector, labels.Set{corev1.LabelMetadataName: fleet.SystemNamespace}) ||
		!selects(w.ObjectSelector, labels.Set{fleet.SiteLabel: site}) {
		return ""
	}
	for _, own := range []struct{ group, resource string }{{"coordination.k8s.io", "leases"}, {"", "configmaps"}} {
		if slices.ContainsFunc(w.Rules, func(r admission.RuleWithOperations) bool { return governs(r, own.group, own.resource) }) {
			return own.resource
		}
	}
	return ""
}

// selects tells whether a selector takes labels; a missing one takes all.
func selects(s *metav1.LabelSelector, set labels.Set) bool {
	if s == nil {
		return true
	}
	selector, err := metav1.LabelSelectorAsSelector(s)
	return err == nil && selector.Matches(set)
}

// governs tells whether a rule is about writing objects in a namespace of a resource of version v1.
func governs(r admission.RuleWithOperations, group, resource string) bool {
	names := func(list []string, name string) bool {
		return slices.Contains(list, "*") || slices.Contains(list, name)
	}
	writes := slices.ContainsFunc(r.Operations, func(op admission.OperationType) bool {
		return op == admission.OperationAll || op == admission.Create || op == admission.Update
	})
	return writes && (r.Scope == nil || *r.Scope != admission.ClusterScope) && names(r.APIGroups, group) && names(r.APIVersions, "v1") &&
		slices.ContainsFunc(r.Resources, func(rule string) bool {
			of, sub, _ := strings.Cut(rule, "/")
			return (of == "*" || of == resource) && (sub == "" || sub == "*")
		})
}
