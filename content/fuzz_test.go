package content

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func FuzzIndex(f *testing.F) {
	f.Fuzz(func(t *testing.T, data []byte) {
		index, err := parseIndex(data)
		if err != nil {
			return
		}
		for _, d := range index.Manifests {
			require.NoError(t, checkDescriptor(d))
			require.True(t, filepath.IsLocal(d.Digest.Hex))
		}
	})
}

func FuzzManifest(f *testing.F) {
	f.Fuzz(func(t *testing.T, data []byte) {
		doc, err := parseDocument(data)
		if err != nil {
			return
		}
		require.True(t, (doc.manifest == nil) != (doc.index == nil), "one or the other")
		for _, d := range doc.blobs() {
			require.NoError(t, checkDescriptor(d))
		}
		if doc.manifest == nil {
			return
		}
		files, err := parseFiles(doc.manifest)
		if err != nil {
			return
		}
		for _, file := range files {
			require.True(t, filepath.IsLocal(file.title))
			require.Zero(t, file.mode&^0o777)
		}
	})
}

func FuzzReference(f *testing.F) {
	f.Fuzz(func(t *testing.T, ref string) {
		r, err := parseReference(ref)
		if err != nil {
			return
		}
		again, err := parseReference(r.String())
		require.NoError(t, err)
		require.Equal(t, r.String(), again.String())
	})
}

func FuzzArchive(f *testing.F) {
	f.Fuzz(func(t *testing.T, data []byte) {
		path := filepath.Join(t.TempDir(), "image.tar")
		require.NoError(t, os.WriteFile(path, data, 0o600))
		s := newStore(t)
		added, err := s.AddArchive(path)
		entries, listErr := s.List()
		require.NoError(t, listErr)
		if err != nil {
			require.Empty(t, entries, "an archive is added whole or not at all")
			return
		}
		for _, e := range added {
			require.NoError(t, s.Verify(e.Digest))
		}
		require.NoError(t, s.WriteArchive(io.Discard, map[string]string{added[0].Ref: added[0].Digest}))
	})
}

func TestFuzzersHaveSeeds(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"FuzzIndex", "FuzzManifest", "FuzzReference", "FuzzArchive"} {
		seeds, err := filepath.Glob(filepath.Join("testdata", "fuzz", name, "*"))
		require.NoError(t, err)
		require.NotEmpty(t, seeds, name)
		for _, seed := range seeds {
			data, err := os.ReadFile(seed)
			require.NoError(t, err)
			require.True(t, bytes.HasPrefix(data, []byte("go test fuzz v1\n")), seed)
		}
	}
}
