package containerd

import (
	"fmt"
	"io"
	"os"
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

// TestWhatContainerdDoesNotTakeAsFilesIsSent: nothing depends on how it keeps them.
func TestWhatContainerdDoesNotTakeAsFilesIsSent(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		client string // what it says to an order
		want   string // archives that it is sent
	}{
		"it takes them":              {"content) ;; images) cat >>%s ;;", "the rest "},
		"it knows no such order":     {"content) exit 1 ;; images) cat >>%s ;;", "all "},
		"it has swept away the file": {"content) ;; images) tee -a %s | grep -q all ;;", "the rest all "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			client, sent := filepath.Join(dir, "ctr"), filepath.Join(dir, "sent")
			require.NoError(t, os.WriteFile(client, fmt.Appendf(nil, "#!/bin/sh\ncase $3 in "+tt.client+" esac\n", sent), 0o700))
			r := Runtime{Client: client, Record: filepath.Join(dir, "imports.json")}
			count, err := r.Import(t.Context(), parts{}, map[string]string{"example.com/web:1": "sha256:a"})
			require.NoError(t, err)
			require.Equal(t, 1, count)
			data, err := os.ReadFile(sent)
			require.NoError(t, err)
			require.Equal(t, tt.want, string(data))
			data, err = os.ReadFile(filepath.Join(dir, blobsDir, "b"))
			require.NoError(t, err)
			require.Equal(t, "a layer", string(data))
		})
	}
}

// parts are an archive of one layer.
type parts struct{}

func (parts) Layers(map[string]string) (map[string]int64, error) {
	return map[string]int64{"sha256:b": 7}, nil
}

func (parts) Place(_, path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	return os.WriteFile(path, []byte("a layer"), 0o600)
}

func (parts) WriteArchive(w io.Writer, _ map[string]string) error {
	_, err := io.WriteString(w, "all ")
	return err
}

func (parts) WriteArchiveWithout(w io.Writer, _ map[string]string, _ map[string]int64) error {
	_, err := io.WriteString(w, "the rest ")
	return err
}
