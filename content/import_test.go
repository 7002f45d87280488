package content

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

func TestArchiveGoesOutAndIn(t *testing.T) {
	t.Parallel()
	hello := buildHello(t)
	s := newStore(t)
	digest, err := s.AddProgram("holdfast.dev/hello:v1", hello)
	require.NoError(t, err)
	_, err = s.AddProgram("holdfast.dev/other:v2", hello)
	require.NoError(t, err)
	out := filepath.Join(t.TempDir(), "images.tar")
	f, err := os.Create(out)
	require.NoError(t, err)
	defer f.Close()
	require.NoError(t, s.WriteArchive(f, map[string]string{
		"holdfast.dev/hello:v1":           digest,
		"holdfast.dev/other:v2@" + digest: digest,
		"holdfast.dev/untagged@" + digest: digest,
		"ports.example.com:8443/x/y:edge": digest,
	}))
	require.Equal(t, []string{
		"holdfast.dev/hello:v1", "holdfast.dev/hello@" + digest,
		"holdfast.dev/other:v2", "holdfast.dev/other@" + digest,
		"holdfast.dev/untagged@" + digest,
		"ports.example.com:8443/x/y:edge", "ports.example.com:8443/x/y@" + digest,
	}, containerdNames(t, out))

	into := newStore(t)
	added, err := into.AddArchive(out)
	require.NoError(t, err)
	require.Len(t, added, 4)
	for _, e := range added {
		require.Equal(t, digest, e.Digest)
		require.Equal(t, "image", e.Kind)
	}
	require.NoError(t, into.Verify(digest))
	got, err := into.Digest("holdfast.dev/untagged@" + digest)
	require.NoError(t, err)
	require.Equal(t, digest, got)
}

func containerdNames(t *testing.T, path string) []string {
	t.Helper()
	f, err := os.Open(path)
	require.NoError(t, err)
	defer f.Close()
	a, err := scan(f)
	require.NoError(t, err)
	data, err := a.read(indexFile)
	require.NoError(t, err)
	index, err := parseIndex(data)
	require.NoError(t, err)
	var names []string
	for _, d := range index.Manifests {
		names = append(names, d.Annotations[containerdAnnotation])
	}
	return names
}

func TestArchiveOfTheWrongDigestIsRefused(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	require.ErrorIs(t, s.WriteArchive(io.Discard, map[string]string{"holdfast.dev/a:1": missingDigest}), ErrMissing)
	require.ErrorContains(t, s.WriteArchive(io.Discard, map[string]string{"holdfast.dev/a:1@" + missingDigest: "sha256:1"}), "is not sha256:1")
	require.ErrorContains(t, s.WriteArchive(io.Discard, map[string]string{"a:1": missingDigest}), "host with a dot")
}

// A store on a stick is added to that of a host as it lies there, files and images.
func TestAStoreIsAddedToAnother(t *testing.T) {
	t.Parallel()
	hello := buildHello(t)
	stick := newStore(t)
	image, err := stick.AddProgram("holdfast.dev/hello:2", hello)
	require.NoError(t, err)
	files, err := stick.AddFiles("holdfast.dev/tools:2", []string{hello})
	require.NoError(t, err)
	host := newStore(t)
	_, err = host.AddProgram("holdfast.dev/hello:1", hello)
	require.NoError(t, err)

	added, err := host.AddArchive(stick.dir)
	require.NoError(t, err)
	require.Len(t, added, 2)
	require.NoError(t, host.Verify(image, files))
	_, err = host.Digest("holdfast.dev/hello:1")
	require.NoError(t, err, "what was there stays")

	added, err = host.AddArchive(host.dir)
	require.NoError(t, err)
	require.Len(t, added, 3)
	require.NoError(t, host.Verify())
}

// What lies outside the folder, or is no file, is never read.
func TestAFolderIsReadAndNothingElse(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(blob string) error{
		"changed": func(blob string) error { return os.WriteFile(blob, []byte("{} "), 0o600) },
		"a link out of it": func(blob string) error {
			return errors.Join(os.Rename(blob, filepath.Join(filepath.Dir(blob), "../../../out")), os.Symlink("../../../out", blob))
		},
		"a pipe": func(blob string) error { return errors.Join(os.Remove(blob), unix.Mkfifo(blob, 0o600)) },
		"gone":   os.Remove,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			stick, host := newStore(t), newStore(t)
			digest, err := stick.AddProgram("holdfast.dev/hello:2", buildHello(t))
			require.NoError(t, err)
			h, err := parseDigest(digest)
			require.NoError(t, err)
			require.NoError(t, spoil(stick.blobPath(h)))
			_, err = host.AddArchive(stick.dir)
			require.Error(t, err)
			entries, err := host.List()
			require.NoError(t, err)
			require.Empty(t, entries)
		})
	}
}

// writeTar writes entries, given as name and bytes in turn.
func writeTar(t testing.TB, entries ...string) string {
	t.Helper()
	var b bytes.Buffer
	tw := tar.NewWriter(&b)
	for i := 0; i < len(entries); i += 2 {
		require.NoError(t, writeEntry(tw, entries[i], []byte(entries[i+1])))
	}
	require.NoError(t, tw.Close())
	path := filepath.Join(t.TempDir(), "image.tar")
	require.NoError(t, os.WriteFile(path, b.Bytes(), 0o600))
	return path
}

func sha(text string) string { return fmt.Sprintf("%x", sha256.Sum256([]byte(text))) }

func dockerConfig(layers ...string) string {
	config := v1.ConfigFile{Architecture: "amd64", OS: "linux", RootFS: v1.RootFS{Type: "layers"}}
	for _, l := range layers {
		config.RootFS.DiffIDs = append(config.RootFS.DiffIDs, v1.Hash{Algorithm: "sha256", Hex: sha(l)})
	}
	data, _ := json.Marshal(config)
	return string(data)
}

func zip(t *testing.T, text string) string {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, err := z.Write([]byte(text))
	require.NoError(t, err)
	require.NoError(t, z.Close())
	return b.String()
}

func TestDockerSave(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	added, err := s.AddArchive(writeTar(t,
		"config.json", dockerConfig("one", "two"), "a/layer.tar", "one", "b/layer.tar.gz", zip(t, "two"),
		"manifest.json", `[{"Config":"config.json","RepoTags":["holdfast.dev/a:1","holdfast.dev/b:2"],"Layers":["a/layer.tar","b/layer.tar.gz"]}]`))
	require.NoError(t, err)
	require.Len(t, added, 2)
	require.Equal(t, "linux/amd64", added[0].Platform)
	require.Equal(t, added[0].Digest, added[1].Digest)
	require.NoError(t, s.Verify(added[0].Digest))
}

func TestArchivesThatAreRefused(t *testing.T) {
	t.Parallel()
	manifest := func(tag string) string {
		return `[{"Config":"c.json","RepoTags":["` + tag + `"],"Layers":["l.tar"]}]`
	}
	image := fmt.Sprintf(`{"schemaVersion":2,"config":{"digest":"sha256:%s","size":2},"layers":[]}`, sha("{}"))
	index := fmt.Sprintf(`{"schemaVersion":2,"manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"sha256:%s","size":%d,"annotations":{"org.opencontainers.image.ref.name":"holdfast.dev/a:1"}}]}`, sha(image), len(image))
	for _, tt := range []struct {
		name    string
		entries []string
		err     string
	}{
		{"nothing in it", nil, "neither index.json nor manifest.json"},
		{"no host", []string{"c.json", dockerConfig("x"), "l.tar", "x", "manifest.json", manifest("nginx:1")}, "host with a dot"},
		{"changed layer", []string{"c.json", dockerConfig("x"), "l.tar", "y", "manifest.json", manifest("holdfast.dev/a:1")}, "does not match"},
		{"changed zipped layer", []string{"c.json", dockerConfig("x"), "l.tar", zip(t, "y"), "manifest.json", manifest("holdfast.dev/a:1")}, "does not match"},
		{"missing layer", []string{"c.json", dockerConfig("x"), "manifest.json", manifest("holdfast.dev/a:1")}, "has no l.tar"},
		{"too few layers", []string{"c.json", dockerConfig("x", "y"), "l.tar", "x", "manifest.json", manifest("holdfast.dev/a:1")}, "names 2"},
		{"no tag", []string{"c.json", dockerConfig(), "manifest.json", `[{"Config":"c.json"}]`}, "names no image"},
		{"not a list", []string{"manifest.json", `{}`}, "parse manifest.json"},
		{"index without layout", []string{"index.json", index}, "has no oci-layout"},
		{"missing manifest", []string{"oci-layout", layoutVersion, "index.json", index}, "has no blobs/sha256/"},
		{"missing blob", []string{"oci-layout", layoutVersion, "index.json", index, "blobs/sha256/" + sha(image), image}, "has no blobs/sha256/" + sha("{}")},
		{
			"changed blob",
			[]string{"oci-layout", layoutVersion, "index.json", index, "blobs/sha256/" + sha(image), image, "blobs/sha256/" + sha("{}"), "[]"},
			"does not match",
		},
		{
			"changed manifest",
			[]string{"oci-layout", layoutVersion, "index.json", index, "blobs/sha256/" + sha(image), image + " ", "blobs/sha256/" + sha("{}"), "{}"},
			"does not match",
		},
		{"nameless", []string{"oci-layout", layoutVersion, "index.json", fmt.Sprintf(`{"schemaVersion":2,"manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"sha256:%s","size":1}]}`, sha(image))}, "has no name"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newStore(t)
			_, err := s.AddArchive(writeTar(t, tt.entries...))
			require.ErrorContains(t, err, tt.err)
			entries, err := s.List()
			require.NoError(t, err)
			require.Empty(t, entries)
		})
	}
	zipped := filepath.Join(t.TempDir(), "x.tar.gz")
	writeFile(t, zipped, zip(t, string(make([]byte, 4096))), 0o600)
	_, err := newStore(t).AddArchive(zipped)
	require.ErrorContains(t, err, "decompress it first")
}
