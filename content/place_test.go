package content

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestABlobIsPlaced where another program keeps it: once on the disk where that can be, and never damaged.
func TestABlobIsPlaced(t *testing.T) {
	t.Parallel()
	hello := buildHello(t)
	other, err := os.MkdirTemp("/dev/shm", "holdfast-place") // another file system
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(other) })
	for name, tt := range map[string]struct {
		dir      string
		sameFile bool
	}{"same file system": {t.TempDir(), true}, "another": {other, false}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStore(t)
			image, err := s.AddProgram("holdfast.dev/hello:1", hello)
			require.NoError(t, err)
			layers, err := s.Layers(map[string]string{"holdfast.dev/hello:1": image})
			require.NoError(t, err)
			layer := partOf(t, s, image, "layer")
			info, err := os.Stat(s.blobPath(layer))
			require.NoError(t, err)
			require.Equal(t, map[string]int64{layer.String(): info.Size()}, layers, "what is small is sent")

			path := filepath.Join(tt.dir, "sha256", layer.Hex)
			for range 2 {
				require.NoError(t, s.Place(layer.String(), path))
				placed, err := os.Stat(path)
				require.NoError(t, err)
				require.Equal(t, tt.sameFile, os.SameFile(info, placed))
			}
			var whole, rest bytes.Buffer
			require.NoError(t, s.WriteArchive(&whole, map[string]string{"holdfast.dev/hello:1": image}))
			require.NoError(t, s.WriteArchiveWithout(&rest, map[string]string{"holdfast.dev/hello:1": image}, layers))
			require.Greater(t, int64(whole.Len()-rest.Len()), info.Size())

			require.NoError(t, os.Remove(path))
			require.NoError(t, os.WriteFile(path, []byte("something else"), 0o600))
			require.ErrorIs(t, s.Place(layer.String(), path), ErrDamaged, "it is not overwritten: somebody may use it")
			for damaged, damage := range damages() {
				require.NoError(t, os.RemoveAll(path), damaged)
				damage(t, s.blobPath(layer))
				if err := s.Place(layer.String(), path); damaged == "removed" {
					require.ErrorIs(t, err, ErrMissing)
				} else {
					require.ErrorIs(t, err, ErrDamaged, damaged)
				}
				left, err := os.ReadDir(tt.dir)
				require.NoError(t, err)
				require.Len(t, left, 1, damaged)
				require.NoFileExists(t, path, damaged)
				require.NoError(t, os.RemoveAll(s.blobPath(layer)))
				_, err = s.AddProgram("holdfast.dev/hello:1", hello)
				require.NoError(t, err)
			}
			require.ErrorIs(t, s.WriteArchiveWithout(io.Discard, map[string]string{"holdfast.dev/a:1": missingDigest}, layers), ErrMissing)
		})
	}
}
