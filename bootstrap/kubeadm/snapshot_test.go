package kubeadm

import (
	"crypto/sha256"
	"crypto/tls"
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-fleet/holdfast/bootstrap/embedded/embeddedtest"
	"github.com/holdfast-fleet/holdfast/bootstrap/system"
)

// realEtcd is that of a cluster which ends with the test.
func realEtcd(t *testing.T) *etcd {
	t.Helper()
	dir := filepath.Dir(filepath.Dir(embeddedtest.StartTrial(t)))
	data, err := os.ReadFile(filepath.Join(dir, "etc/ports.json"))
	require.NoError(t, err)
	var ports struct{ Etcd int }
	require.NoError(t, json.Unmarshal(data, &ports))
	authority, err := authorityOf(filepath.Join(dir, "pki/etcd-ca.crt"))
	require.NoError(t, err)
	pair := filepath.Join(dir, "pki/apiserver-etcd.pem")
	own, err := tls.LoadX509KeyPair(pair, pair)
	require.NoError(t, err)
	return newEtcd(net.JoinHostPort("127.0.0.1", strconv.Itoa(ports.Etcd)), authority, own)
}

// TestASnapshotIsWholeOrNotThere takes one of a real etcd, and finds out when it is damaged.
func TestASnapshotIsWholeOrNotThere(t *testing.T) {
	t.Parallel()
	store, dir := realEtcd(t), t.TempDir()
	file := filepath.Join(dir, "etcd.db")
	require.NoError(t, store.snapshot(t.Context(), file))
	info, err := os.Stat(file)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm(), "the cluster's secrets are in it")
	require.NoError(t, checkSnapshot(file))
	data, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Contains(t, string(data), "/registry/namespaces/kube-system")

	damaged := filepath.Join(dir, "damaged.db")
	for name, content := range map[string][]byte{
		"empty":              {},
		"the hash alone":     data[len(data)-sha256.Size:],
		"without its hash":   data[:len(data)-sha256.Size],
		"cut at a page":      data[:len(data)/2/512*512+sha256.Size],
		"cut anywhere":       data[:len(data)-1],
		"with something off": append([]byte{data[0] ^ 1}, data[1:]...),
	} {
		require.NoError(t, os.WriteFile(damaged, content, 0o600))
		require.ErrorContains(t, checkSnapshot(damaged), "not a whole snapshot", name)
	}

	store.base = "https://127.0.0.1:1/v3/"
	require.ErrorContains(t, store.snapshot(t.Context(), file), "take a snapshot of etcd: ")
	require.NoError(t, checkSnapshot(file), "the one from before stays")
	left, err := filepath.Glob(filepath.Join(dir, "*.partial"))
	require.NoError(t, err)
	require.Empty(t, left)
}

// TestTheMemberIsReplaced with nothing in between: what is replaced is at the other's place.
func TestTheMemberIsReplaced(t *testing.T) {
	t.Parallel()
	for name, had := range map[string]bool{"another member is there": true, "none is": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			fresh := filepath.Join(dir, ".restored")
			require.NoError(t, os.MkdirAll(filepath.Join(fresh, "member/snap"), 0o700))
			if had {
				require.NoError(t, os.MkdirAll(filepath.Join(dir, "member/wal"), 0o700))
			}
			require.NoError(t, replaceMember(dir, fresh))
			require.DirExists(t, filepath.Join(dir, "member/snap"))
			require.NoDirExists(t, filepath.Join(dir, "member/wal"))
			require.Equal(t, had, system.Exists(filepath.Join(fresh, "member/wal")))

			require.ErrorContains(t, replaceMember(dir, t.TempDir()), "put ")
			require.DirExists(t, filepath.Join(dir, "member/snap"), "nothing to put in its place: it stays")
		})
	}
}
