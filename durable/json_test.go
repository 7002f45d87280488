package durable_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-fleet/holdfast/durable"
)

func TestJSONIsReadAsItWasWritten(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "state.json")
	var read map[string]int
	found, err := durable.ReadJSON(path, &read)
	require.NoError(t, err)
	require.False(t, found)

	require.NoError(t, durable.WriteJSON(path, map[string]int{"a": 1}))
	found, err = durable.ReadJSON(path, &read)
	require.NoError(t, err)
	require.True(t, found)
	require.Equal(t, map[string]int{"a": 1}, read)
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())

	require.NoError(t, os.WriteFile(path, []byte(`{"a"`), 0o600))
	_, err = durable.ReadJSON(path, &read)
	require.ErrorContains(t, err, path+" is damaged")
}
