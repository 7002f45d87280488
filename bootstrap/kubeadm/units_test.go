package kubeadm

import (
	"errors"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestWhatWasCutOffBetweenFilesAndTheirEffectIsDoneTheNextTime has power fail, or a
// newer revision come, after files were written.
func TestWhatWasCutOffBetweenFilesAndTheirEffectIsDoneTheNextTime(t *testing.T) {
	t.Parallel()
	n := testNode(t)
	files := map[string]string{filepath.Join(t.TempDir(), "a.conf"): "a"}
	done := 0
	count := func() error { done++; return nil }

	require.ErrorContains(t, n.settle("unit", files, func() error { return errors.New("cut off") }), "cut off")
	require.Len(t, n.unsettled(), 1)
	require.NoError(t, n.settle("unit", files, count))
	require.Equal(t, 1, done, "though the files are as they should be")
	require.Empty(t, n.unsettled())
	require.NoError(t, n.settle("unit", files, count))
	require.Equal(t, 1, done)
}
