package kubeadm

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-fleet/holdfast/peers"
)

func TestConfigurationOfUpgrades(t *testing.T) {
	t.Parallel()
	n := testNode(t)
	n.Dir = "/var/lib/holdfast/kubeadm"
	golden(t, "upgrade.yaml", n.upgradeConfig(machine{}))
}

// TestTheVersionOfAHost is that of its control plane, whichever step an upgrade is at.
func TestTheVersionOfAHost(t *testing.T) {
	t.Parallel()
	rec := record{Step: stepReady, Cluster: Cluster{Version: "v1.35.4"}}
	require.Equal(t, "v1.35.4", rec.version())
	rec.Upgrade = &upgrade{"v1.35.4", "v1.36.3", stepControlPlane}
	require.Equal(t, "v1.35.4", rec.version(), "it goes back if that is cut off")
	rec.Upgrade.Step = stepKubelet
	require.Equal(t, "v1.36.3", rec.version())
	rec.Worker = true
	require.Equal(t, "v1.35.4", rec.version(), "a worker has no control plane")
}

func TestUpgradesThatAreRefused(t *testing.T) {
	t.Parallel()
	n := testNode(t)
	for version, want := range map[string]string{
		"v1.35.4": "", "v1.36.1": "",
		"v1.34.9": "Kubernetes goes up one minor version at a time: from v1.34.9 to v1.35 first",
		"v1.37.0": "Kubernetes does not go back from v1.37.0 to v1.36.3",
		"v1.36.4": "an older patch of Kubernetes",
	} {
		err := n.mayUpgrade(record{Step: stepReady, Cluster: Cluster{Version: version}}, time.Now())
		if want == "" {
			require.NoError(t, err, version)
		} else {
			require.ErrorContains(t, err, want)
		}
	}
}

// TestWhoMayGoBack: a commit must allow it, and there must be something to go back to.
func TestWhoMayGoBack(t *testing.T) {
	t.Parallel()
	rec := record{Step: stepReady, Cluster: Cluster{Version: "v1.37.0"}}
	n := testNode(t)
	n.Downgrade = true
	require.ErrorContains(t, n.mayUpgrade(rec, time.Now()), "no snapshot of it is left that was taken with v1.36.3")
	require.NoError(t, os.WriteFile(n.snapshotBefore("v1.36.3"), nil, 0o600))
	require.NoError(t, n.mayUpgrade(rec, time.Now()))
	n.Members = []peers.Member{{Name: n.Host}, {Name: "store-042-b"}}
	require.ErrorContains(t, n.mayUpgrade(rec, time.Now()), "this site has several hosts")
	require.NoError(t, n.mayUpgrade(record{Step: stepReady, Cluster: Cluster{Version: "v1.36.9"}}, time.Now()), "patches read each other's data")

	cut := record{Step: stepReady, Cluster: Cluster{Version: "v1.37.0"}, Upgrade: &upgrade{"v1.37.0", "v1.35.4", stepRestore}}
	require.ErrorContains(t, n.finishRestore(t.Context(), cut), "going back to v1.35.4 when that was cut off, and the fleet says v1.36.3")
}

// TestWhatWasUndoneIsNotTriedAtOnce: each try may cost the site its API for minutes.
func TestWhatWasUndoneIsNotTriedAtOnce(t *testing.T) {
	t.Parallel()
	n, now := testNode(t), time.Date(2026, 11, 26, 8, 0, 0, 0, time.UTC)
	rec := record{Step: stepReady, Cluster: Cluster{Version: "v1.35.4"}}
	rec.fail(n, errors.New("the API server did not start"), now)
	require.EqualError(t, n.mayUpgrade(rec, now.Add(time.Minute)),
		"the upgrade from v1.35.4 to v1.36.3 was undone (once), and is tried again at 2026-11-26T08:05:00Z: the API server did not start")
	require.NoError(t, n.mayUpgrade(rec, now.Add(5*time.Minute)))
	ordered := *n
	ordered.Anew = true
	require.NoError(t, ordered.mayUpgrade(rec, now.Add(time.Minute)))
	require.NoError(t, n.mayUpgrade(rec, now.Add(-time.Minute)), "a clock that went back does not hold it up")

	rec.fail(n, errors.New("again"), now)
	require.ErrorContains(t, n.mayUpgrade(rec, now.Add(9*time.Minute)), "(2 times), and is tried again at 2026-11-26T08:10:00Z")
	for range 100 {
		rec.fail(n, errors.New("again"), now)
	}
	require.NoError(t, n.mayUpgrade(rec, now.Add(24*time.Hour)), "it is never given up")

	mended := testNode(t)
	mended.Bin = "/opt/mended"
	require.NoError(t, mended.mayUpgrade(rec, now), "other programs are another upgrade")
}

func TestWhatAnUpgradeChangesIsPutBack(t *testing.T) {
	t.Parallel()
	host, dir := t.TempDir(), filepath.Join(t.TempDir(), "before")
	there, missing := filepath.Join(host, "etcd.yaml"), filepath.Join(host, "config.yaml")
	files := []string{there, missing}
	require.NoError(t, os.WriteFile(there, []byte("old"), 0o600))
	require.NoError(t, keepFiles(dir, files))
	require.True(t, unchanged(dir, files))

	require.NoError(t, os.WriteFile(there, []byte("new"), 0o600))
	require.NoError(t, os.WriteFile(missing, []byte("new"), 0o600))
	require.False(t, unchanged(dir, files))
	require.NoError(t, putBack(dir, files))
	require.True(t, unchanged(dir, files))
	require.NoFileExists(t, missing)

	require.NoError(t, os.Remove(there))
	require.False(t, unchanged(dir, files))
	require.NoError(t, putBack(dir, files))
	got, err := os.ReadFile(there)
	require.NoError(t, err)
	require.Equal(t, "old", string(got))
}

// TestNoKubeletSeesManifestsChangeBack: it would not start what they say, see undo.
func TestNoKubeletSeesManifestsChangeBack(t *testing.T) {
	t.Parallel()
	dir, file := filepath.Join(t.TempDir(), "before"), filepath.Join(t.TempDir(), "etcd.yaml")
	says := func() string {
		data, err := os.ReadFile(file)
		require.NoError(t, err)
		return string(data)
	}
	require.NoError(t, os.WriteFile(file, []byte("old"), 0o600))
	require.NoError(t, keepFiles(dir, []string{file}))
	require.NoError(t, undo(dir, []string{file}, func() error {
		t.Error("a control plane is stopped of which nothing has changed")
		return nil
	}))

	require.NoError(t, os.WriteFile(file, []byte("new"), 0o600))
	stuck := errors.New("the kubelet does not stop")
	require.ErrorIs(t, undo(dir, []string{file}, func() error { return stuck }), stuck)
	require.Equal(t, "new", says(), "a kubelet still runs")

	stopped := false
	require.NoError(t, undo(dir, []string{file}, func() error {
		require.Equal(t, "new", says())
		stopped = true
		return nil
	}))
	require.True(t, stopped)
	require.Equal(t, "old", says())
}
