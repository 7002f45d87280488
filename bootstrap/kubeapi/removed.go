package kubeapi

import (
	"context"
	"net/http"
	"slices"
	"strings"
)

// The policy that keeps kubelets out, and its binding, have one name.
const (
	policies      = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies/"
	bindings      = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicybindings/"
	removedPolicy = "holdfast-removed-hosts"
	removedHosts  = "holdfast.dev/removed-hosts" // annotation: their names, sorted, with spaces between
)

// KeptOut lists the hosts whose kubelets the cluster lets write nothing, sorted.
func (s *Server) KeptOut(ctx context.Context) ([]string, error) {
	var policy struct {
		Metadata struct{ Annotations map[string]string }
	}
	if err := s.Get(ctx, policies+removedPolicy, &policy); err != nil && !NotFound(err) {
		return nil, err
	}
	return strings.Fields(policy.Metadata.Annotations[removedHosts]), nil
}

// KeepOut has the cluster refuse whatever the kubelets of these hosts write, and of no
// others: a certificate counts until it ends, and with that of a host that was removed
// its node could be made again. Nothing is written where it is so already; it can be cut
// off anywhere, and be done again.
func (s *Server) KeepOut(ctx context.Context, hosts []string) error {
	hosts = slices.Sorted(slices.Values(hosts))
	out, err := s.KeptOut(ctx)
	if err != nil || slices.Equal(out, hosts) {
		return err
	}
	if len(hosts) == 0 {
		if err := s.Delete(ctx, bindings+removedPolicy); err != nil {
			return err
		}
		return s.Delete(ctx, policies+removedPolicy)
	}
	if err := s.apply(ctx, bindings+removedPolicy, object{
		"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicyBinding", "metadata": object{"name": removedPolicy},
		"spec": object{"policyName": removedPolicy, "validationActions": []string{"Deny"}},
	}); err != nil {
		return err
	}
	return s.apply(ctx, policies+removedPolicy, object{
		"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy",
		"metadata": object{"name": removedPolicy, "annotations": object{removedHosts: strings.Join(hosts, " ")}},
		"spec": object{
			"matchConstraints": object{"resourceRules": []object{{
				"apiGroups": []string{"*"}, "apiVersions": []string{"*"}, "resources": []string{"*/*"}, "operations": []string{"CREATE", "UPDATE", "DELETE"},
			}}},
			"matchConditions": []object{{
				"name":       "a-kubelet-of-theirs",
				"expression": "request.userInfo.username in ['system:node:" + strings.Join(hosts, "', 'system:node:") + "']",
			}},
			"validations": []object{{"expression": "false", "message": "the fleet has removed this host"}},
		},
	})
}

// LetIn has the cluster heed a host's kubelet again.
func (s *Server) LetIn(ctx context.Context, host string) error {
	out, err := s.KeptOut(ctx)
	if err != nil || !slices.Contains(out, host) {
		return err
	}
	return s.KeepOut(ctx, slices.DeleteFunc(out, func(name string) bool { return name == host }))
}

type object map[string]any

// apply is a server-side apply, which makes an object or takes it over.
func (s *Server) apply(ctx context.Context, path string, value any) error {
	req, err := request(ctx, http.MethodPatch, s.base+path+"?fieldManager=holdfast&force=true", value)
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/apply-patch+yaml") // JSON is YAML
	return ask(&s.client, req, nil)
}
