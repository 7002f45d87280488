package containerd

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// A client that takes all: what it is given counts once it is kept.
func TestImagesCountOnceTheyAreKept(t *testing.T) {
	t.Parallel()
	r := Runtime{Client: "true", Record: filepath.Join(t.TempDir(), "imports.json")}
	first, others := map[string]string{"example.com/web:1": "sha256:a"}, map[string]string{"example.com/db:1": "sha256:b"}
	count, err := r.Give(t.Context(), text("web"), first)
	require.NoError(t, err)
	require.Equal(t, 1, count)
	require.False(t, r.Has(first))
	require.NoError(t, r.Keep(first))
	require.True(t, r.Has(first))
	count, err = r.Give(t.Context(), broken{}, first)
	require.NoError(t, err)
	require.Zero(t, count, "it is there")
	count, err = r.Import(t.Context(), text("db"), others)
	require.NoError(t, err)
	require.Equal(t, 1, count)
	require.True(t, r.Has(first))
	require.True(t, r.Has(others))
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
