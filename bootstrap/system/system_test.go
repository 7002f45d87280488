package system

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

func TestReasons(t *testing.T) {
	t.Parallel()
	require.Equal(t, "[ERROR Swap]: on\nerror: preflight failed",
		Reason("\x1b[0;32mok\x1b[0m\n\t[ERROR Swap]: on\n[preflight] hints\nerror: preflight failed\nsee --v=5\n"))
	require.Equal(t, "one\ntwo", Reason("one\ntwo\n"))
}

func TestFilesAreWrittenOnce(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	files := map[string]string{dir + "/a/b": "one", dir + "/c": "two"}
	require.False(t, Holds(files))
	changed, err := Write(files)
	require.NoError(t, err)
	require.ElementsMatch(t, []string{dir + "/a/b", dir + "/c"}, changed)
	require.True(t, Holds(files))
	require.NoError(t, os.WriteFile(dir+"/c", []byte("other"), 0o600))
	require.NoError(t, os.WriteFile(dir+"/a/.b.tmp-1", []byte("of a power cut"), 0o600))
	require.NoError(t, os.WriteFile(dir+"/a/.z.tmp-1", []byte("of somebody else"), 0o600))
	changed, err = Write(files)
	require.NoError(t, err)
	require.Equal(t, []string{dir + "/c"}, changed)
	require.NoFileExists(t, dir+"/a/.b.tmp-1")
	require.FileExists(t, dir+"/a/.z.tmp-1")
	require.NoError(t, Empty(dir))
	require.NoError(t, Empty(filepath.Join(dir, "nowhere")))
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Empty(t, left)
}

// TestFoldersThatAreSynced writes to disk at once whatever anybody puts there, where the file system can.
func TestFoldersThatAreSynced(t *testing.T) {
	t.Parallel()
	dir := t.TempDir() + "/server/tls"
	require.NoError(t, MakeSynced(dir))
	require.NoError(t, MakeSynced(dir))
	require.NoError(t, os.MkdirAll(dir+"/etcd", 0o700))
	require.NoError(t, os.WriteFile(dir+"/etcd/ca.key", []byte("key"), 0o600))
	var on unix.Statfs_t
	require.NoError(t, unix.Statfs(dir, &on))
	f, err := os.Open(dir + "/etcd/ca.key")
	require.NoError(t, err)
	defer f.Close()
	flags, err := unix.IoctlGetUint32(int(f.Fd()), unix.FS_IOC_GETFLAGS)
	if on.Type == unix.EXT4_SUPER_MAGIC || on.Type == unix.XFS_SUPER_MAGIC {
		require.NoError(t, err)
		require.NotZero(t, flags&synchronous, "chattr(1) calls it S")
	}
	require.ErrorIs(t, MakeSynced(dir+"/etcd/ca.key"), unix.ENOTDIR)
}

func TestTheAddressThatTheFleetGives(t *testing.T) {
	t.Parallel()
	own, err := Network{Interface: "lo", Address: "127.0.0.1"}.Find()
	require.NoError(t, err)
	require.Equal(t, "127.0.0.1", own)
	var wrong *PreflightError
	_, err = Network{Address: "192.0.2.7"}.Find()
	require.ErrorAs(t, err, &wrong)
	require.ErrorContains(t, err, "does not have the address 192.0.2.7")
	_, err = Network{Interface: "nosuch0"}.Find()
	require.ErrorAs(t, err, &wrong)
	_, err = Network{Interface: "lo"}.Find()
	require.ErrorContains(t, err, "lo has no IPv4 address", "a loopback's is nobody's")
}
