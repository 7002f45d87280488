package embeddedtest

import (
	"os/exec"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTheControlPlaneAnswers(t *testing.T) {
	t.Parallel()
	kubeconfig := Start(t)
	bin, err := Programs()
	require.NoError(t, err)
	out, err := exec.Command(bin+"/kube", "kubectl", "--kubeconfig", kubeconfig, "get", "namespaces,svc", "-A", "-o", "name").CombinedOutput()
	require.NoError(t, err, string(out))
	require.Contains(t, string(out), "namespace/kube-system")
}
