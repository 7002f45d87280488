package containerd

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// A client that takes all.
func TestImagesAreImportedOnce(t *testing.T) {
	t.Parallel()
	r := Runtime{Client: "true", Record: filepath.Join(t.TempDir(), "imports.json")}
	first, all := map[string]string{"example.com/web:1": "sha256:a"}, map[string]string{"example.com/web:1": "sha256:a", "example.com/db:1": "sha256:b"}
	count, err := r.Import(t.Context(), text("web"), first)
	require.NoError(t, err)
	require.Equal(t, 1, count)
	require.True(t, r.Has(first))
	require.False(t, r.Has(all))
	count, err = r.Import(t.Context(), broken{}, first)
	require.NoError(t, err)
	require.Zero(t, count, "it is there")
	count, err = r.Import(t.Context(), text("db"), all)
	require.NoError(t, err)
	require.Equal(t, 1, count)
	require.True(t, r.Has(all))
}

func TestAnImportThatFailsSaysWhy(t *testing.T) {
	t.Parallel()
	r := Runtime{Client: "cat", Record: filepath.Join(t.TempDir(), "imports.json")}
	images := map[string]string{"example.com/web:1": "sha256:a"}
	_, err := r.Import(t.Context(), text("web"), images)
	require.ErrorContains(t, err, "import 1 images: exit status 1: cat: unrecognized option")
	_, err = r.Import(t.Context(), broken{}, images)
	require.ErrorContains(t, err, "import 1 images: blob is damaged")
	require.False(t, r.Has(images))
}
