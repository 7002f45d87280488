package k3s

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-fleet/holdfast/bootstrap/solo"
)

// TestTokens: agents get one of their own, which there is only where there are any.
func TestTokens(t *testing.T) {
	t.Parallel()
	alone := solo.Wanted{Dir: t.TempDir(), Host: "store-042-a", Site: solo.Site{Members: site[:1]}}
	require.NoError(t, makeTokens(alone))
	require.FileExists(t, filepath.Join(alone.Dir, tokenFile))
	require.NoFileExists(t, filepath.Join(alone.Dir, agentTokenFile))
	require.NotContains(t, K3s.config(alone, "10.0.0.42", ""), "agent-token-file")

	several := alone
	several.Members = site
	require.NoError(t, makeTokens(several))
	server, err := os.ReadFile(filepath.Join(alone.Dir, tokenFile))
	require.NoError(t, err)
	agents, err := os.ReadFile(filepath.Join(alone.Dir, agentTokenFile))
	require.NoError(t, err)
	require.NotEqual(t, server, agents)
	require.Contains(t, K3s.config(alone, "10.0.0.42", ""), "agent-token-file: "+alone.Dir, "it stays when the site has one host again: nothing restarts")
}
