package backup

import (
	"archive/tar"
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-fleet/holdfast/durable"
)

func packed(t testing.TB, to string) []byte {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "pki/etcd"), 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "pki/etcd/ca.key"), []byte("key"), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "etcd.db"), bytes.Repeat([]byte("data"), 40_000), 0o600))
	var out bytes.Buffer
	_, err := pack(&out, Manifest{Site: "store-042", Taken: time.Unix(0, 0).UTC()}, dir, []string{to})
	require.NoError(t, err)
	return out.Bytes()
}

// TestABackupIsWholeOrRefused cuts it off, and changes it, at many places.
func TestABackupIsWholeOrRefused(t *testing.T) {
	t.Parallel()
	own, to := newKey(t)
	stranger, _ := newKey(t)
	data := packed(t, to)
	dir := filepath.Join(t.TempDir(), "out")
	m, err := Unpack(durable.Disk{}, bytes.NewReader(data), dir, own)
	require.NoError(t, err)
	require.Equal(t, Manifest{Format: 1, Site: "store-042", Taken: time.Unix(0, 0).UTC()}, m)
	got, err := os.ReadFile(filepath.Join(dir, "pki/etcd/ca.key"))
	require.NoError(t, err)
	require.Equal(t, "key", string(got))
	require.NotContains(t, string(data), "datadata")

	out := filepath.Join(t.TempDir(), "none")
	_, err = Unpack(durable.Disk{}, bytes.NewReader(data), out, stranger)
	require.ErrorContains(t, err, "did not match any of the recipients")
	for at := 0; at < len(data); at += 997 {
		_, err := Unpack(durable.Disk{}, bytes.NewReader(data[:at]), out, own)
		require.Error(t, err, "cut off at %d", at)
		require.NoDirExists(t, out)
		changed := bytes.Clone(data)
		changed[at] ^= 1
		_, err = Unpack(durable.Disk{}, bytes.NewReader(changed), out, own)
		require.Error(t, err, "changed at %d", at)
		require.NoDirExists(t, out)
	}
	_, err = Unpack(durable.Disk{}, bytes.NewReader(data[:len(data)-1]), out, own)
	require.ErrorContains(t, err, "may be corrupted or tampered with")
}

// archiveOf is a plain archive of entries: name, type and content.
func archiveOf(t testing.TB, entries ...[3]string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, e := range entries {
		require.NoError(t, w.WriteHeader(&tar.Header{Name: e[0], Typeflag: e[1][0], Size: int64(len(e[2])), Mode: 0o777, Linkname: "/etc/passwd"}))
		_, err := w.Write([]byte(e[2]))
		require.NoError(t, err)
	}
	require.NoError(t, w.Close())
	return b.Bytes()
}

// TestOnlyFilesBelowTheFolderAreWritten, whoever made the archive.
func TestOnlyFilesBelowTheFolderAreWritten(t *testing.T) {
	t.Parallel()
	head := [3]string{manifestName, "0", `{"format":1}`}
	for name, entries := range map[string][][3]string{
		"no manifest":                 {{"files/etcd.db", "0", "x"}},
		"a manifest that is none":     {{manifestName, "0", "["}},
		"nothing but the manifest":    {head},
		"a number below all":          {{manifestName, "0", `{"format":1,"number":-1}`}, {"files/x", "0", "x"}},
		"a number above all":          {{manifestName, "0", `{"format":1,"number":1000000000}`}, {"files/x", "0", "x"}},
		"a file beside the others":    {head, {"etc/passwd", "0", "x"}},
		"a file above":                {head, {"files/../../x", "0", "x"}},
		"a path that is not clean":    {head, {"files//x", "0", "x"}},
		"a file from the root":        {head, {"/files/x", "0", "x"}},
		"the folder itself":           {head, {"files/", "5", ""}},
		"a link":                      {head, {"files/x", "2", ""}},
		"a file twice":                {head, {"files/x", "0", "x"}, {"files/x", "0", "y"}},
		"a file in place of a folder": {head, {"files/x", "0", "x"}, {"files/x/y", "0", "y"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			above := t.TempDir()
			dir := filepath.Join(above, "out")
			_, err := unpackPlain(durable.Disk{}, bytes.NewReader(archiveOf(t, entries...)), dir)
			require.Error(t, err)
			left, err := os.ReadDir(above)
			require.NoError(t, err)
			require.Empty(t, left)
		})
	}
	_, err := unpackPlain(durable.Disk{}, bytes.NewReader(archiveOf(t, [3]string{manifestName, "0", `{"format":2}`})), "")
	require.ErrorContains(t, err, "format 2, and this program knows 1")
}

// FuzzUnpack writes nothing but below its folder, and nothing where it fails.
func FuzzUnpack(f *testing.F) {
	head := [3]string{manifestName, "0", `{"format":1}`}
	f.Add(archiveOf(f, head, [3]string{"files/a/b", "0", "x"}))
	f.Add(archiveOf(f, head, [3]string{"files/../x", "0", "x"}))
	f.Add(archiveOf(f, head)[:700])
	f.Fuzz(func(t *testing.T, data []byte) {
		above := t.TempDir()
		_, err := unpackPlain(durable.Disk{}, bytes.NewReader(data), filepath.Join(above, "out"))
		left, failed := os.ReadDir(above)
		require.NoError(t, failed)
		if err != nil {
			require.Empty(t, left)
			return
		}
		require.Len(t, left, 1)
	})
}

// FuzzParseName reads back just what it writes.
func FuzzParseName(f *testing.F) {
	f.Add(testName(17).String())
	f.Add(strings.Replace(testName(1).String(), "20261126", "20261399", 1))
	f.Fuzz(func(t *testing.T, text string) {
		if n, ok := ParseName(text); ok {
			require.Equal(t, text, n.String())
		}
	})
}

// TestTheCorporaAreThere, as checked in.
func TestTheCorporaAreThere(t *testing.T) {
	t.Parallel()
	for _, target := range []string{"FuzzUnpack", "FuzzParseName"} {
		seeds, err := os.ReadDir(filepath.Join("testdata/fuzz", target))
		require.NoError(t, err)
		require.NotEmpty(t, seeds)
	}
}

func TestNames(t *testing.T) {
	t.Parallel()
	n := testName(17)
	require.Equal(t, "store-042_000017_20261126T033000Z_1f0c9a6d2b44_9f86d081884c7d65.age", n.String())
	got, ok := ParseName(n.String())
	require.True(t, ok)
	require.Equal(t, n, got)
	for _, bad := range []string{"", "x.age", n.String() + partial, strings.ToUpper(n.String()), "../" + n.String(), strings.Replace(n.String(), "T033000Z", "T993000Z", 1), strings.Replace(n.String(), "_000017", "_17", 1)} {
		_, ok := ParseName(bad)
		require.False(t, ok, bad)
	}
}
