package fleet_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-fleet/holdfast/fleet"
)

// TestTheFormatOfAgentYAMLIsFrozen must never be changed: every agent that there
// ever was reads what is committed today.
func TestTheFormatOfAgentYAMLIsFrozen(t *testing.T) {
	t.Parallel()
	const (
		amd64 = "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
		arm64 = "sha256:60303ae22b998861bce3b28f33eec1be758a213c86c93c076dbe9f558c11c752"
		text  = "apiVersion: holdfast.dev/v1alpha1\nkind: Agent\nspec:\n  version: v1.4.0-rc.1\n  digests:\n    amd64: " + amd64 + "\n    arm64: " + arm64 + "\n"
	)
	a, err := fleet.ParseAgent("agent.yaml", []byte(text))
	require.NoError(t, err)
	require.Equal(t, &fleet.Agent{Version: "v1.4.0-rc.1", Digests: map[string]string{"amd64": amd64, "arm64": arm64}}, a)
	for _, more := range []string{"  channel: beta\n", "status: {}\n"} {
		_, err := fleet.ParseAgent("agent.yaml", []byte(text+more))
		require.Error(t, err, "an agent of today would not read it, so none may write it: %s", more)
	}
}
