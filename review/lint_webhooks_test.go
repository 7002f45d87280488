package review

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"sigs.k8s.io/yaml"

	"github.com/holdfast-fleet/holdfast/fleet"
	"github.com/holdfast-fleet/holdfast/render"
)

func TestWebhooksThatWouldKeepHoldfastOut(t *testing.T) {
	t.Parallel()
	const all = "{operations: ['*'], apiGroups: ['*'], apiVersions: ['*'], resources: ['*']}"
	const leases = "{operations: [CREATE, UPDATE], apiGroups: [coordination.k8s.io], apiVersions: [v1], resources: [leases]}"
	for _, tt := range []struct{ name, webhook, keepsOut string }{
		{"all that there is", "rules: [" + all + "]", "leases"},
		{"its Lease", "rules: [" + leases + "], failurePolicy: Fail", "leases"},
		{"its inventory, in the second rule", "rules: [{operations: [CREATE], apiGroups: [apps], apiVersions: [v1], resources: ['*']}, {operations: [UPDATE], apiGroups: [''], apiVersions: [v1], resources: ['*/*'], scope: Namespaced}]", "configmaps"},
		{"a resource and what is below it", "rules: [{operations: ['*'], apiGroups: [''], apiVersions: ['*'], resources: ['configmaps/*']}]", "configmaps"},
		{"other labels of the namespace", "rules: [" + all + "], namespaceSelector: {matchExpressions: [{key: ignored, operator: DoesNotExist}]}", "leases"},
		{"objects of any site", "rules: [" + all + "], objectSelector: {matchExpressions: [{key: holdfast.dev/site, operator: Exists}]}", "leases"},

		{"one that may be passed over", "rules: [" + all + "], failurePolicy: Ignore", ""},
		{"the namespace left out", "rules: [" + all + "], namespaceSelector: {matchExpressions: [{key: kubernetes.io/metadata.name, operator: NotIn, values: [kube-system, holdfast-system]}]}", ""},
		{"namespaces that ask for it", "rules: [" + all + "], namespaceSelector: {matchLabels: {checked: 'yes'}}", ""},
		{"objects of another site", "rules: [" + all + "], objectSelector: {matchLabels: {holdfast.dev/site: two}}", ""},
		{"what conditions leave to the object", "rules: [" + all + "], matchConditions: [{name: c, expression: 'true'}]", ""},
		{"deletions", "rules: [{operations: [DELETE, CONNECT], apiGroups: ['*'], apiVersions: ['*'], resources: ['*']}]", ""},
		{"what is in no namespace", "rules: [{operations: ['*'], apiGroups: ['*'], apiVersions: ['*'], resources: ['*'], scope: Cluster}]", ""},
		{"pods", "rules: [{operations: ['*'], apiGroups: [''], apiVersions: [v1], resources: [pods]}]", ""},
		{"status", "rules: [{operations: ['*'], apiGroups: ['*'], apiVersions: ['*'], resources: ['*/status']}]", ""},
		{"another version", "rules: [{operations: ['*'], apiGroups: ['*'], apiVersions: [v1beta1], resources: ['*']}]", ""},
		{"nothing", "clientConfig: {}", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			for _, kind := range []string{"ValidatingWebhookConfiguration", "MutatingWebhookConfiguration"} {
				raw, err := yaml.YAMLToJSON([]byte("webhooks: [{name: before.example.com}, {name: all.example.com, " + tt.webhook + "}]"))
				require.NoError(t, err)
				found := webhookFaults(render.Shape{APIVersion: "admissionregistration.k8s.io/v1", Kind: kind}, raw, &fleet.Site{Name: "one"})
				if tt.keepsOut == "" {
					require.Empty(t, found)
					continue
				}
				require.Len(t, found, 1)
				require.True(t, strings.HasPrefix(found[0].Msg, "webhook all.example.com decides about "+tt.keepsOut+" in holdfast-system"), found[0].Msg)
				require.Equal(t, []string{"webhooks", "1"}, found[0].at)
			}
		})
	}
}
