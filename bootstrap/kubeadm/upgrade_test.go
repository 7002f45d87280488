package kubeadm

import (
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/holdfast-fleet/holdfast/bootstrap/kubeapi"
	"github.com/holdfast-fleet/holdfast/bootstrap/kubeapi/kubeapitest"
	"github.com/holdfast-fleet/holdfast/fleet"
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
	require.ErrorContains(t, n.mayGoBack(rec), "does not go back from v1.37.0 to v1.36.3")
	n.Downgrade = true
	require.NoError(t, n.mayGoBack(rec))
	require.False(t, n.hasKept("v1.36.3"))
	require.NoError(t, os.WriteFile(n.snapshotBefore("v1.36.3"), nil, 0o600))
	require.NoError(t, os.WriteFile(n.snapshotBefore("v1.35.4"), nil, 0o600))
	require.Equal(t, []string{"v1.35.4", "v1.36.3"}, n.kept())
	require.True(t, n.hasKept("v1.36.3"))
	require.NoError(t, n.mayUpgrade(record{Step: stepReady, Cluster: Cluster{Version: "v1.36.9"}}, time.Now()), "patches read each other's data")

	cut := record{Step: stepReady, Cluster: Cluster{Version: "v1.37.0"}, Upgrade: &upgrade{"v1.37.0", "v1.35.4", stepRestore}}
	require.ErrorContains(t, n.finishRestore(t.Context(), cut), "going back to v1.35.4 when that was cut off, and the fleet says v1.36.3")
}

// TestAServerTellsWhatItCanGoBackTo: the others find out by that which of them the cluster goes back with.
func TestAServerTellsWhatItCanGoBackTo(t *testing.T) {
	t.Parallel()
	n := testNode(t)
	require.NoError(t, n.writeRecord(record{Step: stepReady, Cluster: Cluster{Version: "v1.37.0"}, Returns: "v1.36.3"}))
	require.NoError(t, os.WriteFile(n.snapshotBefore("v1.36.3"), nil, 0o600))
	known, err := (&Local{Dir: n.Dir}).Cluster(t.Context())
	require.NoError(t, err)
	require.Equal(t, []string{"v1.36.3"}, known.Kept)
	require.Equal(t, "v1.36.3", known.Returns)
}

// TestWhomAServerLetsGoBack: who goes back as the cluster does, or is back already.
func TestWhomAServerLetsGoBack(t *testing.T) {
	t.Parallel()
	rec := record{Step: stepReady, Cluster: Cluster{Version: "v1.37.0"}, Returns: "v1.36.3"}
	for version, lets := range map[string]bool{"": false, "v1.35.4": false, "v1.36.3": true, "v1.37.0": true} {
		require.Equal(t, lets, rec.goesBack(version), version)
	}
	rec.Upgrade = &upgrade{"v1.37.0", "v1.38.1", stepKubelet}
	require.False(t, rec.goesBack("v1.37.0"), "it is being upgraded from that")
}

// TestAClusterStaysWhereItIs where the fleet does not say any more that it goes back.
func TestAClusterStaysWhereItIs(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		allowed bool
		version string
		want    string
	}{
		{"it goes back", true, "v1.36.3", "v1.36.3"},
		{"to nothing else", true, "v1.35.4", ""},
		{"it stays", false, "v1.37.0", ""},
		{"no commit allows it any more", false, "v1.36.3", ""},
	} {
		n := testNode(t)
		n.Downgrade, n.Cluster.Version = tt.allowed, tt.version
		rec := record{Step: stepReady, Cluster: Cluster{Version: "v1.37.0"}, Returns: "v1.36.3"}
		require.NoError(t, n.writeRecord(rec))
		require.NoError(t, n.staysWith(&rec))
		kept, err := n.readRecord()
		require.NoError(t, err)
		require.Equal(t, tt.want, rec.Returns, tt.name)
		require.Equal(t, rec, kept, tt.name)
	}
}

// TestNobodyLeavesForDamagedData: what it goes back to is read whole before the others are told that it does.
func TestNobodyLeavesForDamagedData(t *testing.T) {
	t.Parallel()
	n := testNode(t)
	n.Downgrade, n.Members = true, []peers.Member{{Name: n.Host, Role: fleet.ControlPlane}, {Name: "b", Role: fleet.ControlPlane}}
	n.Peers = oneVersion{"v1.37.0"}
	require.NoError(t, os.WriteFile(n.snapshotBefore(n.Cluster.Version), []byte("half of it"), 0o600))
	rec := record{Step: stepReady, Cluster: Cluster{Version: "v1.37.0"}}
	require.ErrorContains(t, n.goBackTo(t.Context(), rec, n), "is not a whole snapshot of etcd")
	require.Empty(t, rec.Returns)
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

// TestAnUpgradeThatIsCutOffGoesOn, as after a power cut: it is not left alone for minutes.
func TestAnUpgradeThatIsCutOffGoesOn(t *testing.T) {
	t.Parallel()
	n, rec := testNode(t), record{Step: stepReady, Cluster: Cluster{Version: "v1.35.4"}, Worker: true}
	ctx, newer := context.WithCancel(t.Context())
	newer()
	require.NoError(t, n.gaveUp(ctx, &rec, ctx.Err()))
	require.NoError(t, n.mayUpgrade(rec, time.Now()))
	_ = n.gaveUp(t.Context(), &rec, errors.New("the kubelet did not start")) // no host answers it
	require.ErrorContains(t, n.mayUpgrade(rec, time.Now()), "was undone (once)")
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

// TestTheVersionThatKubeadmKeeps is what a host that joins makes its control plane of.
func TestTheVersionThatKubeadmKeeps(t *testing.T) {
	t.Parallel()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/v1/namespaces/kube-system/configmaps/kubeadm-config", func(w http.ResponseWriter, _ *http.Request) {
		_, err := w.Write([]byte(`{"data": {"ClusterConfiguration": "apiVersion: kubeadm.k8s.io/v1beta4\nkubernetesVersion: v1.36.3\n"}}`))
		assert.NoError(t, err)
	})
	file, port := kubeapitest.ServeAt(t, "127.0.0.1", mux)
	server, err := kubeapi.Open(file, port)
	require.NoError(t, err)
	defer server.Close()
	for version, want := range map[string]bool{"v1.36.3": true, "v1.35.4": false, "v1.36": false} {
		says, err := saysVersion(t.Context(), server, version)
		require.NoError(t, err)
		require.Equal(t, want, says, version)
	}
	require.NoError(t, testNode(t).sayVersion(t.Context(), server, "10.0.0.42"), "kubeadm need not be asked")
}
