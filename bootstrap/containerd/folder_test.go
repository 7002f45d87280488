package containerd

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// text is an archive that is only a text.
type text string

func (a text) WriteArchive(w io.Writer, _ map[string]string) error {
	_, err := io.WriteString(w, string(a))
	return err
}

type broken struct{}

func (broken) WriteArchive(w io.Writer, _ map[string]string) error {
	_, _ = io.WriteString(w, "half of it")
	return errors.New("blob is damaged")
}

func TestTheFolderHasTheArchiveUntilItIsImported(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	archive := filepath.Join(dir, "images", layers)
	images := map[string]string{"example.com/web:1": "sha256:a", "example.com:5000/db": "sha256:b"}
	asked := 0
	f := Folder{Path: filepath.Dir(archive), Record: filepath.Join(dir, "imports.json"), List: func(context.Context) (string, error) {
		data, err := os.ReadFile(archive)
		require.NoError(t, err)
		require.Equal(t, "both", string(data))
		switch asked++; asked {
		case 1:
			return "", errors.New("containerd does not answer")
		case 2:
			return "example.com/web:1\nexample.com/web@sha256:a\n", nil
		default:
			return "example.com/web@sha256:a\nexample.com:5000/db@sha256:b\n", nil
		}
	}}
	require.False(t, f.Has(images))
	count, err := f.Import(t.Context(), text("both"), images)
	require.NoError(t, err)
	require.Equal(t, 2, count)
	require.Equal(t, 3, asked)
	require.NoFileExists(t, archive)
	require.True(t, f.Has(images))
	count, err = f.Import(t.Context(), broken{}, images)
	require.NoError(t, err)
	require.Zero(t, count, "nothing is missing")
}

func TestABrokenArchiveIsNeverThere(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	f := Folder{Path: dir, Record: filepath.Join(dir, "imports.json")}
	_, err := f.Import(t.Context(), broken{}, map[string]string{"example.com/web:1": "sha256:a"})
	require.ErrorContains(t, err, "blob is damaged")
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Empty(t, entries)
}

func TestAnImportThatNeverComesIsNamed(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	f := Folder{Path: t.TempDir(), List: func(context.Context) (string, error) { cancel(); return "", nil }}
	_, err := f.Import(ctx, text("all"), map[string]string{"example.com/web:1": "sha256:a"})
	require.ErrorContains(t, err, "containerd has no example.com/web@sha256:a yet")
}
