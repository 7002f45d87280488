package bootstrap

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-fleet/holdfast/fleet"
)

// TestALookThatIsCutOffSaysNothingOfTheMachine: a newer revision is rendered meanwhile.
func TestALookThatIsCutOffSaysNothingOfTheMachine(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err := fit(ctx, Request{
		Dir: filepath.Join(t.TempDir(), fleet.Kubeadm), Host: "store-042-a",
		Distribution: fleet.Distribution{Type: fleet.Kubeadm, Version: "v1.36.3"},
	})
	require.ErrorIs(t, err, context.Canceled)
}
