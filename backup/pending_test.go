package backup

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-fleet/holdfast/durable"
	"github.com/holdfast-fleet/holdfast/durable/durabletest"
	"github.com/holdfast-fleet/holdfast/secrets"
)

// TestOrders are there whole, or not at all, until they are done.
func TestOrders(t *testing.T) {
	t.Parallel()
	own, to := newKey(t)
	data, dir := packed(t, to), t.TempDir()
	none, err := Ordered(dir)
	require.NoError(t, err)
	require.Nil(t, none)
	_, err = Order(durable.Disk{}, dir, bytes.NewReader(data[:len(data)-9]), own)
	require.Error(t, err)
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Empty(t, left)

	for range 2 { // the newest order counts
		m, err := Order(durable.Disk{}, dir, bytes.NewReader(data), own)
		require.NoError(t, err)
		require.Equal(t, "store-042", m.Site)
	}
	p, err := Ordered(dir)
	require.NoError(t, err)
	require.Equal(t, "store-042", p.Site)
	require.FileExists(t, filepath.Join(p.Files, "pki/etcd/ca.key"))
	require.NoError(t, Done(durable.Disk{}, dir))
	none, err = Ordered(dir)
	require.NoError(t, err)
	require.Nil(t, none)
}

// filesIn are the files below a folder, and digests of what is in them.
func filesIn(t *testing.T, dir string) map[string]string {
	t.Helper()
	found := map[string]string{}
	require.NoError(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		rel, _ := filepath.Rel(dir, path)
		found[rel] = fmt.Sprintf("%x", sha256.Sum256(data))
		return err
	}))
	return found
}

// TestAPowerCutWhileOneIsOrdered leaves all of it, or nothing that counts; and it can be ordered again.
func TestAPowerCutWhileOneIsOrdered(t *testing.T) {
	t.Parallel()
	own, to := newKey(t)
	data := packed(t, to)
	order := func(t *testing.T, disk durable.Disk, dir string, key secrets.Identity) map[string]string {
		t.Helper()
		_, err := Order(disk, dir, bytes.NewReader(data), key)
		require.NoError(t, err)
		p, err := Ordered(dir)
		require.NoError(t, err)
		return filesIn(t, p.Files)
	}
	dir, base := t.TempDir(), filepath.Join(t.TempDir(), "base")
	require.NoError(t, os.CopyFS(base, os.DirFS(dir)))
	noted := durabletest.NewJournal(dir)
	want := order(t, noted.Disk(), dir, own)
	require.NotEmpty(t, want)
	ordered := noted.Len()
	require.NoError(t, Done(noted.Disk(), dir))
	for n := range noted.Len() + 1 {
		for _, loss := range []durabletest.Loss{durabletest.Names, durabletest.Data, durabletest.Half} {
			after := t.TempDir()
			require.NoError(t, noted.Cut(base, after, n, loss))
			what := fmt.Sprintf("%s before %s", loss, noted.Change(n))
			p, err := Ordered(after)
			require.NoError(t, err, what)
			if n == ordered {
				require.NotNil(t, p, what)
			}
			if n == noted.Len() {
				require.Nil(t, p, what)
			}
			if p != nil {
				require.Equal(t, want, filesIn(t, p.Files), what)
			}
			require.Equal(t, want, order(t, durable.Disk{}, after, own), what)
		}
	}
}
