package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	agekey "filippo.io/age"
	"github.com/stretchr/testify/require"

	"github.com/holdfast-fleet/holdfast/backup"
	"github.com/holdfast-fleet/holdfast/fleet"
	"github.com/holdfast-fleet/holdfast/reconciler"
)

// backupOf takes a backup of store-042, and returns its file and that of the key.
func backupOf(t *testing.T) (file, key string) {
	t.Helper()
	id, err := agekey.GenerateX25519Identity()
	require.NoError(t, err)
	key = filepath.Join(t.TempDir(), "recovery.txt")
	require.NoError(t, os.WriteFile(key, []byte(id.String()+"\n"), 0o600))
	dir, data := t.TempDir(), make([]byte, 1<<20) // more than what is read to know whose it is
	_, err = rand.Read(data)
	require.NoError(t, err)
	k := backup.Keeper{Dir: backup.Dir(dir), Now: func() time.Time { return time.Date(2026, 11, 26, 3, 30, 0, 0, time.UTC) }}
	state, err := k.Take(t.Context(), backup.Job{
		Manifest: backup.Manifest{Site: "store-042", Host: "store-042-a", Revision: strings.Repeat("1f0c9a6d", 5), Type: fleet.Kubeadm, Version: "v1.36.3"},
		Plan:     fleet.Backup{Every: time.Hour, Keep: 1, Recipients: []string{id.Recipient().String()}},
		Copy: func(_ context.Context, into string) error {
			return os.WriteFile(filepath.Join(into, "etcd.db"), data, 0o600)
		},
	})
	require.NoError(t, err)
	return filepath.Join(k.Dir, state.Last.File), key
}

// command runs the program, and returns what it said on standard output.
func command(t *testing.T, args ...string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	cmd := newRootCmd()
	cmd.SetArgs(args)
	cmd.SetOut(&out)
	cmd.SetErr(&out)
	err := cmd.ExecuteContext(t.Context())
	return out.String(), err
}

// TestRestoreIsOrdered with the right key and the right name, and can be dropped again.
func TestRestoreIsOrdered(t *testing.T) {
	t.Parallel()
	file, key := backupOf(t)
	dir := t.TempDir()
	restore := func(args ...string) (string, error) {
		return command(t, append([]string{"restore", "--data-dir", dir}, args...)...)
	}
	_, err := restore()
	require.ErrorContains(t, err, "takes the FILE of a backup, or --forget")
	_, err = restore("--site", "store-042", file)
	require.ErrorContains(t, err, "did not match any of the recipients")
	require.Contains(t, hint(err), "--identity")
	_, err = restore("--identity", key, "--site", "store-043", file)
	require.ErrorContains(t, err, "the backup is of site store-042, not store-043")
	_, err = restore("--forget")
	require.ErrorContains(t, err, "no backup is ordered")

	out, err := restore("--identity", key, "--site", "store-042", file)
	require.NoError(t, err)
	require.Contains(t, out, "store-042 as of 2026-11-26T03:30:00Z is opened and whole; register this host at site store-042")
	p, err := backup.Ordered(dir)
	require.NoError(t, err)
	require.Equal(t, "store-042-a", p.Host)
	kept, err := os.ReadFile(key)
	require.NoError(t, err)
	require.NoError(t, filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		require.NotContains(t, string(data), strings.TrimSpace(string(kept)), "nothing is kept of the key")
		return err
	}))
	out, err = restore("--forget")
	require.NoError(t, err)
	require.Equal(t, "dropped\n", out)
	p, err = backup.Ordered(dir)
	require.NoError(t, err)
	require.Nil(t, p)
}

// TestADamagedBackupIsNotOrdered, and is found by a check, with or without the key.
func TestADamagedBackupIsNotOrdered(t *testing.T) {
	t.Parallel()
	file, key := backupOf(t)
	out, err := command(t, "backup", "check", "--identity", key, file)
	require.NoError(t, err)
	require.Equal(t, file+": whole\n", out)

	data, err := os.ReadFile(file)
	require.NoError(t, err)
	data[len(data)-1] ^= 1
	require.NoError(t, os.WriteFile(file, data, 0o600))
	_, err = command(t, "backup", "check", file)
	require.ErrorContains(t, err, "is damaged")
	dir := t.TempDir()
	_, err = command(t, "restore", "--data-dir", dir, "--identity", key, "--site", "store-042", file)
	require.ErrorContains(t, err, "is damaged")

	renamed := filepath.Join(t.TempDir(), "renamed.age") // which age alone looks after
	require.NoError(t, os.WriteFile(renamed, data, 0o600))
	_, err = command(t, "backup", "check", renamed)
	require.ErrorContains(t, err, "is not the name of a backup")
	_, err = command(t, "restore", "--data-dir", dir, "--identity", key, "--site", "store-042", renamed)
	require.ErrorContains(t, err, "may be corrupted or tampered with")
	p, err := backup.Ordered(dir)
	require.NoError(t, err)
	require.Nil(t, p)
}

// TestOnlyAWholeBackupReplacesACluster: until it is opened, what is there stays, and the agent has to be off.
func TestOnlyAWholeBackupReplacesACluster(t *testing.T) {
	t.Parallel()
	file, key := backupOf(t)
	dir := t.TempDir()
	known := filepath.Join(dir, "confirmed.json")
	require.NoError(t, os.WriteFile(known, []byte("{}"), 0o600))
	replace := func(file string) error {
		_, err := command(t, "restore", "--replace", "--data-dir", dir, "--identity", key, "--site", "store-042", file)
		return err
	}
	data, err := os.ReadFile(file)
	require.NoError(t, err)
	cut := filepath.Join(t.TempDir(), "cut.age")
	require.NoError(t, os.WriteFile(cut, data[:len(data)-1], 0o600))
	require.ErrorContains(t, replace(cut), "may be corrupted or tampered with")
	require.FileExists(t, known)

	unlock, err := reconciler.Lock(dir)
	require.NoError(t, err)
	err = replace(file)
	require.ErrorContains(t, err, "an agent runs")
	require.Contains(t, hint(err), "systemctl stop holdfast")
	require.FileExists(t, known)
	unlock()

	require.NoError(t, replace(file))
	require.NoFileExists(t, known)
	p, err := backup.Ordered(dir)
	require.NoError(t, err)
	require.NotNil(t, p)
}

// TestStatusSaysHowBackupsAre, and the metrics in numbers.
func TestStatusSaysHowBackupsAre(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 26, 3, 30, 0, 0, time.UTC)
	st := hostStatus{Now: momentary{At: at.Add(2 * time.Hour), Running: true}, Backup: &backup.State{
		Last:   &backup.Taken{File: "store-042_000017.age", At: at, Size: 3 << 20},
		Failed: &backup.Failure{At: at.Add(time.Hour), Message: "take a backup: no space left on device"},
		Sent: []backup.Sent{
			{To: "/mnt/nas", Count: 14},
			{To: "sftp://me@nas/b", Failed: &backup.Failure{At: at, Message: "connection refused", Hint: "look there"}},
		},
		Next: at.Add(6 * time.Hour),
	}}
	s := newSheet(&bytes.Buffer{})
	st.printBackup(s)
	for _, want := range []string{"store-042_000017.age  3.0 MiB, 2h ago", "not taken for 1h: take a backup: no space left", "sent to /mnt/nas, which has 14", "not sent to sftp://me@nas/b for 2h: connection refused", "hint: look there", "the next in 4h"} {
		require.Contains(t, s.String(), want)
	}
}

// TestADamagedOrderCanBeDropped: as long as it stands no host of the site makes a cluster.
func TestADamagedOrderCanBeDropped(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	order := filepath.Join(dir, "restore", "backup.json")
	require.NoError(t, os.Mkdir(filepath.Dir(order), 0o700))
	require.NoError(t, os.WriteFile(order, []byte("{"), 0o600))
	_, err := backup.Ordered(dir)
	require.ErrorContains(t, err, order+" is damaged")
	var hinted interface{ Hint() string }
	require.ErrorAs(t, err, &hinted)
	require.Contains(t, hinted.Hint(), "holdfast restore --forget")

	var out strings.Builder
	require.NoError(t, restoreOptions{dataDir: dir}.drop(&out))
	require.Equal(t, "dropped\n", out.String())
	require.NoFileExists(t, order)
	require.ErrorContains(t, restoreOptions{dataDir: dir}.drop(&out), "no backup is ordered")
}
