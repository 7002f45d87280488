package embedded_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-fleet/holdfast/bootstrap/embedded"
)

func TestATrialCallsNobodyAndIsDiscarded(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	parent := c.cfg.Dir
	c.cfg.Dir = filepath.Join(parent, strings.Repeat("long", 20)) // no sockets in it
	require.NoError(t, os.Mkdir(c.cfg.Dir, 0o700))
	c.cfg.Trial = true
	c.ensure()
	c.kubectl("create", "configmap", "a")
	c.kubectl("wait", "--for=create", "serviceaccount/default", "--timeout=60s") // which pods need
	hook := filepath.Join(parent, "hook.yaml")
	require.NoError(t, os.WriteFile(hook, []byte(`
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingWebhookConfiguration
metadata: {name: h}
webhooks:
  - name: h.example.com
    admissionReviewVersions: [v1]
    sideEffects: None
    timeoutSeconds: 30
    clientConfig: {url: "https://192.0.2.1/"}
    rules: [{apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [secrets]}]
`), 0o600))
	c.kubectl("create", "-f", hook)
	out, err := exec.Command(c.cfg.Bin+"/kube", "kubectl", "--kubeconfig", c.kubeconfig, "create", "secret", "generic", "s").CombinedOutput()
	require.Error(t, err)
	require.Contains(t, string(out), c.cfg.Dir+"/run/nowhere")

	require.NoError(t, embedded.Discard(t.Context(), c.cfg.Dir))
	require.NoDirExists(t, c.cfg.Dir)
	require.Empty(t, c.processes())
	require.NoError(t, embedded.Discard(t.Context(), c.cfg.Dir), "what is gone stays gone")
	c.cfg.Dir = parent
}
