package kube

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/holdfast-fleet/holdfast/render"
)

// settling is how long admission policies may take to come into force. The API
// server reads all that were written once a second.
const settling = 30 * time.Second

// settle waits until the policies written so far are in force. It writes one
// more, which only warns, and only about an object that is never stored: once
// that is warned about, what was written before is in force, too.
func (t *Trial) settle(ctx context.Context) error {
	t.canary++
	name := fmt.Sprintf("holdfast-canary-%d", t.canary)
	layer := render.Layer{Name: name}
	for _, doc := range []string{canaryPolicy, canaryBinding} {
		layer.Objects = append(layer.Objects, []byte(strings.ReplaceAll(doc, "NAME", name)))
	}
	if _, err := t.cluster.Apply(ctx, "holdfast", layer); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, settling)
	defer cancel()
	for {
		inForce, err := t.warned(ctx, name)
		if inForce {
			return nil
		}
		if !sleep(ctx, 25*time.Millisecond) {
			return errors.Join(fmt.Errorf("wait for admission policies to come into force: %w", ctx.Err()), err)
		}
	}
}

const (
	canaryPolicy = `{"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy", "metadata": {"name": "NAME"}, "spec": {
		"matchConstraints": {"resourceRules": [{"apiGroups": ["coordination.k8s.io"], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["leases"]}]},
		"validations": [{"expression": "object.metadata.name != 'NAME'", "message": "NAME"}]}}`
	canaryBinding = `{"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicyBinding", "metadata": {"name": "NAME"},
		"spec": {"policyName": "NAME", "validationActions": ["Warn"]}}`
)

// warned tells whether the API server warns about the canary's object.
func (t *Trial) warned(ctx context.Context, name string) (bool, error) {
	s, err := t.cluster.session()
	if err != nil {
		return false, err
	}
	lease := &unstructured.Unstructured{}
	lease.SetAPIVersion("coordination.k8s.io/v1")
	lease.SetKind("Lease")
	lease.SetNamespace("default")
	lease.SetName(name)
	ans, err := t.cluster.write(ctx, func(ctx context.Context) error {
		return s.objects.Client().Create(ctx, lease, client.DryRunAll)
	})
	return slices.ContainsFunc(ans.warnings, func(text string) bool { return strings.Contains(text, name) }), err
}
