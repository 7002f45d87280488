package kube

import (
	"fmt"
	"strings"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/holdfast-fleet/holdfast/fleet"
	"github.com/holdfast-fleet/holdfast/health"
	"github.com/holdfast-fleet/holdfast/reconciler"
)

// verdict is how healthy an object is.
type verdict struct {
	status  status.Status
	message string
	final   bool // it failed, and will not become anything else
}

// judge says by a layer's expressions how healthy an object is; a nil one by
// what is known of the object's kind.
type judge struct {
	rule   fleet.Health
	group  string
	ready  *health.Expression
	failed *health.Expression // nil: it is never known to have failed
}

// jury is the judges of a layer.
type jury []*judge

func newJury(rules []fleet.Health) (jury, error) {
	var all jury
	for _, rule := range rules {
		gv, err := schema.ParseGroupVersion(rule.APIVersion)
		if err != nil {
			return nil, fmt.Errorf("health of %s %s: %w", rule.APIVersion, rule.Kind, err)
		}
		j := &judge{rule: rule, group: gv.Group}
		if j.ready, err = health.Compile(rule.Ready); err == nil && rule.Failed != "" {
			j.failed, err = health.Compile(rule.Failed)
		}
		if err != nil {
			return nil, fmt.Errorf("health of %s: %w", rule.Kind, err)
		}
		all = append(all, j)
	}
	return all, nil
}

// of finds the judge of an object; one that names it comes before one of its kind.
func (js jury) of(o reconciler.Object) *judge {
	var found *judge
	for _, j := range js {
		if j.group != o.Group || j.rule.Kind != o.Kind {
			continue
		}
		if j.rule.Name == o.Name {
			return j
		}
		if j.rule.Name == "" && found == nil {
			found = j
		}
	}
	return found
}

func (j *judge) judge(u *unstructured.Unstructured) verdict {
	if j == nil {
		return known(u)
	}
	if u.GetDeletionTimestamp() != nil {
		return known(u)
	}
	seen, found, _ := unstructured.NestedInt64(u.Object, "status", "observedGeneration")
	if found && seen != u.GetGeneration() {
		return verdict{status: status.InProgressStatus, message: fmt.Sprintf("its status is of generation %d, and it is at %d", seen, u.GetGeneration())}
	}
	if j.failed != nil {
		if yes, err := j.failed.True(u.Object); err == nil && yes {
			return verdict{status: status.FailedStatus, message: "it failed: " + j.failed.String() + conditions(u), final: true}
		}
	}
	yes, err := j.ready.True(u.Object)
	switch {
	case err != nil:
		return verdict{status: status.InProgressStatus, message: "it is not ready: " + j.ready.String() + ": " + err.Error() + conditions(u)}
	case !yes:
		return verdict{status: status.InProgressStatus, message: "it is not ready: " + j.ready.String() + conditions(u)}
	}
	return verdict{status: status.CurrentStatus}
}

// known judges by kstatus, and that a Job is to be complete.
func known(u *unstructured.Unstructured) verdict {
	result, err := status.Compute(u)
	if err != nil {
		return verdict{status: status.UnknownStatus, message: err.Error()}
	}
	v := verdict{status: result.Status, message: result.Message}
	if u.GroupVersionKind().GroupKind() != (schema.GroupKind{Group: "batch", Kind: "Job"}) {
		return v
	}
	v.final = v.status == status.FailedStatus
	suspended, _, _ := unstructured.NestedBool(u.Object, "spec", "suspend")
	if v.status == status.CurrentStatus && !suspended && !strings.HasPrefix(v.message, "Job Completed") {
		v.status = status.InProgressStatus // kstatus has a Job that runs for healthy
	}
	if suspended && v.status == status.InProgressStatus {
		v.status = status.CurrentStatus // as declared
	}
	if v.final {
		v.message += conditions(u)
	}
	return v
}

// conditions is what an object says of itself that is not as it should be.
func conditions(u *unstructured.Unstructured) string {
	list, _, _ := unstructured.NestedSlice(u.Object, "status", "conditions")
	var out strings.Builder
	for _, item := range list {
		cond, _ := item.(map[string]any)
		kind, _ := cond["type"].(string)
		is, _ := cond["status"].(string)
		reason, _ := cond["reason"].(string)
		message, _ := cond["message"].(string)
		if message == "" || kind == "Failed" && is != "True" {
			continue
		}
		fmt.Fprintf(&out, "; %s is %s: %s: %s", kind, is, reason, shorten(message, 200))
		if out.Len() > 500 {
			break
		}
	}
	return out.String()
}
