// Package conformance_test shows content's images to the libraries that other
// tools read them with: go-containerregistry and containerd's importer. It is
// a module of its own, so that they stay out of the program's.
package conformance_test

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"

	blobstore "github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/containerd/v2/core/images/archive"
	"github.com/containerd/containerd/v2/pkg/namespaces"
	"github.com/containerd/containerd/v2/plugins/content/local"
	"github.com/containerd/platforms"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/validate"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/require"

	"github.com/holdfast-fleet/holdfast/content"
)

const ref = "holdfast.dev/hello:v1"

// program makes a store with an image of a static program in it.
func program(t *testing.T) (store *content.Store, dir, digest string) {
	t.Helper()
	bin := filepath.Join(t.TempDir(), "hello")
	cmd := exec.Command("go", "build", "-o", bin, "./content/testdata/hello")
	cmd.Dir = filepath.Join("..", "..")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, string(out))
	dir = filepath.Join(t.TempDir(), "store")
	store, err = content.Open(dir)
	require.NoError(t, err)
	digest, err = store.AddProgram(ref, bin)
	require.NoError(t, err)
	return store, dir, digest
}

func TestProgramsValidate(t *testing.T) {
	t.Parallel()
	_, dir, digest := program(t)
	index, err := layout.ImageIndexFromPath(dir)
	require.NoError(t, err)
	require.NoError(t, validate.Index(index, validate.Fast))
	manifest, err := index.IndexManifest()
	require.NoError(t, err)
	require.Len(t, manifest.Manifests, 1)
	require.Equal(t, digest, manifest.Manifests[0].Digest.String())
	image, err := index.Image(manifest.Manifests[0].Digest)
	require.NoError(t, err)
	// The library validates the bytes of gzip layers only; ours are plain tars.
	require.NoError(t, validate.Image(image, validate.Fast))
	layers, err := image.Layers()
	require.NoError(t, err)
	require.Len(t, layers, 1)
	plain, err := layers[0].Uncompressed()
	require.NoError(t, err)
	defer plain.Close()
	sum, size, err := v1.SHA256(plain)
	require.NoError(t, err)
	diffID, err := layers[0].DiffID()
	require.NoError(t, err)
	require.Equal(t, diffID, sum)
	stored, err := layers[0].Size()
	require.NoError(t, err)
	require.Equal(t, stored, size)
	config, err := image.ConfigFile()
	require.NoError(t, err)
	require.Equal(t, []string{"/hello"}, config.Config.Entrypoint)
	require.Equal(t, "linux/"+runtime.GOARCH, config.Platform().String())
}

func TestFilesAreAReadableLayout(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "store")
	store, err := content.Open(dir)
	require.NoError(t, err)
	digest, err := store.AddFiles(ref, []string{"conformance_test.go"})
	require.NoError(t, err)
	index, err := layout.ImageIndexFromPath(dir)
	require.NoError(t, err)
	manifest, err := index.IndexManifest()
	require.NoError(t, err)
	require.Equal(t, digest, manifest.Manifests[0].Digest.String())
	require.Equal(t, content.FilesType, manifest.Manifests[0].ArtifactType)
}

func TestContainerdImportsArchives(t *testing.T) {
	t.Parallel()
	store, _, digest := program(t)
	var tar bytes.Buffer
	require.NoError(t, store.WriteArchive(&tar, map[string]string{ref: digest}))

	ctx := namespaces.WithNamespace(context.Background(), "k8s.io")
	blobs, err := local.NewStore(t.TempDir())
	require.NoError(t, err)
	desc, err := archive.ImportIndex(ctx, blobs, &tar)
	require.NoError(t, err)
	raw, err := blobstore.ReadBlob(ctx, blobs, desc)
	require.NoError(t, err)
	var index ocispec.Index
	require.NoError(t, json.Unmarshal(raw, &index))
	var names []string
	for _, m := range index.Manifests {
		names = append(names, m.Annotations[images.AnnotationImageName])
		require.Equal(t, digest, m.Digest.String())
		ok, _, _, missing, err := images.Check(ctx, blobs, m, platforms.Default())
		require.NoError(t, err)
		require.True(t, ok)
		require.Empty(t, missing)
	}
	require.Equal(t, []string{ref, "holdfast.dev/hello@" + digest}, names)
}

func TestForeignArchivesAreTaken(t *testing.T) {
	t.Parallel()
	image, err := random.Image(2048, 3)
	require.NoError(t, err)
	tag, err := name.NewTag("holdfast.dev/random:v1")
	require.NoError(t, err)
	saved := filepath.Join(t.TempDir(), "saved.tar")
	require.NoError(t, tarball.WriteToFile(saved, tag, image))
	dir := filepath.Join(t.TempDir(), "store")
	store, err := content.Open(dir)
	require.NoError(t, err)
	added, err := store.AddArchive(saved)
	require.NoError(t, err)
	require.Equal(t, tag.String(), added[0].Ref)
	require.NoError(t, store.Verify(added[0].Digest))
	index, err := layout.ImageIndexFromPath(dir)
	require.NoError(t, err)
	require.NoError(t, validate.Index(index))
}
