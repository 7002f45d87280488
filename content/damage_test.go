package content

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/stretchr/testify/require"
)

// damages are the ways in which a disk or a person spoils a blob.
func damages() map[string]func(t *testing.T, path string) {
	return map[string]func(t *testing.T, path string){
		"a flipped bit": func(t *testing.T, path string) {
			data, err := os.ReadFile(path)
			require.NoError(t, err)
			data[len(data)/2] ^= 1
			require.NoError(t, os.WriteFile(path, data, 0o644))
		},
		"a lost end": func(t *testing.T, path string) {
			info, err := os.Stat(path)
			require.NoError(t, err)
			require.NoError(t, os.Truncate(path, info.Size()-1))
		},
		"emptied": func(t *testing.T, path string) { require.NoError(t, os.Truncate(path, 0)) },
		"something after it": func(t *testing.T, path string) {
			f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
			require.NoError(t, err)
			_, err = f.WriteString("more")
			require.NoError(t, err)
			require.NoError(t, f.Close())
		},
		"removed": func(t *testing.T, path string) { require.NoError(t, os.Remove(path)) },
	}
}

func TestDamageIsNeverReadAsGood(t *testing.T) {
	t.Parallel()
	hello := buildHello(t)
	for name, damage := range damages() {
		for _, part := range []string{"manifest", "config", "layer"} {
			t.Run(name+" in the "+part, func(t *testing.T) {
				t.Parallel()
				s := newStore(t)
				files, err := s.AddFiles("holdfast.dev/files:1", []string{hello})
				require.NoError(t, err)
				image, err := s.AddProgram("holdfast.dev/hello:1", hello)
				require.NoError(t, err)
				inFiles, inImage := partOf(t, s, files, part), partOf(t, s, image, part)
				damage(t, s.blobPath(inFiles))
				if inImage != inFiles {
					damage(t, s.blobPath(inImage))
				}

				requireBad(t, s.Verify(files), inFiles)
				requireBad(t, s.Verify(image), inImage)
				parent := t.TempDir()
				if part != "config" { // an extract does not need it
					requireBad(t, s.Extract(files, filepath.Join(parent, "x")), inFiles)
					left, err := os.ReadDir(parent)
					require.NoError(t, err)
					require.Empty(t, left)
				}
				var b bytes.Buffer
				requireBad(t, s.WriteArchive(&b, map[string]string{"holdfast.dev/hello:1": image}), inImage)
				require.NotContains(t, entriesOf(t, &b), indexFile, "an archive with damage names no image")
				if part == "manifest" {
					_, err = s.Digest("holdfast.dev/hello:1")
					requireBad(t, err, inImage)
					_, err = s.List()
					requireBad(t, err, inImage)
				}

				_, err = s.AddFiles("holdfast.dev/files:1", []string{hello})
				require.NoError(t, err)
				require.NoError(t, s.Verify(files), "adding it again mends it")
			})
		}
	}
}

// TestWhatSeveralShareIsReadOnce damages the file that two artifacts have: that
// is damage of each of them, and one of both together.
func TestWhatSeveralShareIsReadOnce(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	shared := writeFile(t, filepath.Join(t.TempDir(), "shared"), "a layer of both", 0o644)
	one, err := s.AddFiles("holdfast.dev/one:1", []string{shared})
	require.NoError(t, err)
	two, err := s.AddFiles("holdfast.dev/two:1", []string{shared, writeFile(t, filepath.Join(t.TempDir(), "own"), "of one", 0o644)})
	require.NoError(t, err)
	sum := sha256.Sum256([]byte("a layer of both"))
	blob := s.blobPath(v1.Hash{Algorithm: "sha256", Hex: hex.EncodeToString(sum[:])})
	require.NoError(t, s.Verify(one, two))
	require.NoError(t, os.WriteFile(blob, []byte("a layer of none"), 0o644))
	for _, digests := range [][]string{{one}, {two}, {one, two}, {two, one}} {
		err := s.Verify(digests...)
		require.ErrorIs(t, err, ErrDamaged)
		require.Equal(t, 1, strings.Count(err.Error(), ErrDamaged.Error()), "it is read once: %v", err)
	}
}

func requireBad(t *testing.T, err error, h v1.Hash) {
	t.Helper()
	require.Error(t, err)
	require.True(t, errors.Is(err, ErrDamaged) || errors.Is(err, ErrMissing), err)
	require.ErrorContains(t, err, h.String())
}

func partOf(t *testing.T, s *Store, digest, part string) v1.Hash {
	t.Helper()
	h, err := parseDigest(digest)
	require.NoError(t, err)
	doc, _, err := s.document(h)
	require.NoError(t, err)
	switch part {
	case "config":
		return doc.manifest.Config.Digest
	case "layer":
		return doc.manifest.Layers[0].Digest
	}
	return h
}

// entriesOf returns the names of the complete entries at the start of a tar.
func entriesOf(t *testing.T, r io.Reader) []string {
	t.Helper()
	var names []string
	tr := tar.NewReader(r)
	for {
		h, err := tr.Next()
		if err != nil {
			return names
		}
		if _, err := io.Copy(io.Discard, tr); err != nil {
			return names
		}
		names = append(names, h.Name)
	}
}

func TestHugeManifestIsNotRead(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	d, err := s.putBytes(bytes.Repeat([]byte(" "), maxManifest+1))
	require.NoError(t, err)
	require.ErrorContains(t, s.Verify(d.Digest.String()), "over the limit")
}

func TestLyingManifestsAreRefused(t *testing.T) {
	t.Parallel()
	const blob = `{"mediaType":"application/octet-stream","digest":"` + missingDigest + `","size":2}`
	for _, tt := range []struct{ name, text, err string }{
		{"not JSON", `hello`, "invalid character"},
		{"two documents", `{"schemaVersion":2,"manifests":[]} {}`, "invalid character"},
		{"manifest and index at once", `{"schemaVersion":2,"manifests":[],"config":{},"layers":[]}`, "at once"},
		{"neither", `{"schemaVersion":2}`, "no image manifest"},
		{"schema 1", `{"schemaVersion":1,"config":` + blob + `,"layers":[]}`, "schema version 1"},
		{"index that calls itself a manifest", `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","manifests":[]}`, "no image index"},
		{"negative size", `{"schemaVersion":2,"config":{"digest":"` + missingDigest + `","size":-1},"layers":[]}`, "size -1"},
		{"no digest", `{"schemaVersion":2,"config":{},"layers":[]}`, "no sha256 digest"},
		{"entry of unknown kind", `{"schemaVersion":2,"manifests":[` + blob + `]}`, "neither manifest nor index"},
		{
			"two sizes for one blob",
			`{"schemaVersion":2,"config":` + blob + `,"layers":[{"digest":"` + missingDigest + `","size":3}]}`, "both 2 and 3",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newStore(t)
			d, err := s.putBytes([]byte(tt.text))
			require.NoError(t, err)
			require.ErrorContains(t, s.Verify(d.Digest.String()), tt.err)
		})
	}
}
