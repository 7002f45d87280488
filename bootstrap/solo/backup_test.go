package solo

import (
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-fleet/holdfast/bootstrap/kubeapi"
	"github.com/holdfast-fleet/holdfast/fleet"
	"github.com/holdfast-fleet/holdfast/peers"
)

func TestWhichBackupAClusterMayBecome(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		rec    record         // Cluster is the node's where it is empty
		of     func(*Cluster) // the backup
		ca     string         // of the cluster that runs
		want   string
		damage bool
		worker bool
	}{
		{name: "a host without a cluster"},
		{name: "one whose installation was cut off", rec: record{Step: stepInstall}},
		{name: "the same cluster", rec: record{Step: stepReady}, ca: "aGVsbG8="},
		{name: "the same with another patch version", rec: record{Step: stepReady}, ca: "aGVsbG8=", of: func(c *Cluster) { c.Version = "v1.36.1+k3s1" }},
		{name: "another cluster", rec: record{Step: stepReady}, ca: "d29ybGQ=", want: "runs another cluster"},
		{name: "in the middle of an upgrade", rec: record{Step: stepUpgrade}, want: "only while its version stays"},
		{name: "before an upgrade", rec: record{Step: stepReady, Cluster: Cluster{Version: "v1.36.2+k3s1"}}, want: "only while its version stays"},
		{name: "another minor", of: func(c *Cluster) { c.Version = "v1.35.9+k3s1" }, want: "the backup is of v1.35.9+k3s1"},
		{name: "other pods", of: func(c *Cluster) { c.PodCIDR = "10.44.0.0/16" }, want: "the backup is of a cluster with pods in 10.44.0.0/16"},
		{name: "another port", of: func(c *Cluster) { c.APIPort = 6444 }, want: "port 6444"},
		{name: "a worker", worker: true, want: "a worker is made of no backup"},
		{name: "a record that cannot be read", damage: true, want: "record.json of the backup"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			n := testNode(t)
			n.Worker = tt.worker
			n.From, n.Kubeconfig = t.TempDir(), filepath.Join(t.TempDir(), "config")
			writeAuthority := func(text string) string {
				require.NoError(t, os.WriteFile(n.Kubeconfig, []byte("    certificate-authority-data: "+text+"\n"), 0o600))
				digest, err := kubeapi.Authority(n.Kubeconfig)
				require.NoError(t, err)
				return digest
			}
			of := origin{Cluster: n.Cluster, Authority: writeAuthority("aGVsbG8=")}
			if tt.of != nil {
				tt.of(&of.Cluster)
			}
			data, err := json.Marshal(of)
			require.NoError(t, err)
			if tt.damage {
				data = data[:len(data)/2]
			}
			require.NoError(t, os.WriteFile(filepath.Join(n.From, backupRecord), data, 0o600))
			if tt.ca != "" {
				writeAuthority(tt.ca)
			}
			if tt.rec.Cluster == (Cluster{}) {
				tt.rec.Cluster = n.Cluster
			}
			err = n.mayRestore(tt.rec)
			if tt.want == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, tt.want)
		})
	}
}

// TestNoSecondClusterOfABackup: nothing changes while another host runs the first.
func TestNoSecondClusterOfABackup(t *testing.T) {
	t.Parallel()
	n := testNode(t)
	n.Host, n.From, n.Kubeconfig = "store-042-b", t.TempDir(), filepath.Join(t.TempDir(), "config")
	n.Members = []peers.Member{members[0], {Name: "store-042-b", Role: fleet.ControlPlane}}
	n.Peers = others{known: map[string]peers.Cluster{"store-042-a": {Known: true}}}
	data, err := json.Marshal(origin{Cluster: n.Cluster})
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(n.From, backupRecord), data, 0o600))
	require.ErrorContains(t, n.restore(t.Context(), &record{}, "10.0.0.43"), "store-042-a is part of a cluster of the site")
	require.NoFileExists(t, n.recordFile())
}

// TestAHostThatIsRestoredJoinsNobody: the program would refuse to be the only member again
// that joins another.
func TestAHostThatIsRestoredJoinsNobody(t *testing.T) {
	t.Parallel()
	n := testNode(t)
	rec := record{Step: stepReady, Through: "10.0.0.42"}
	require.Equal(t, "10.0.0.42", n.joinedBy(rec))
	n.From = t.TempDir()
	require.Empty(t, n.joinedBy(rec))
}

// TestWhatServersShareIsBackedUp, where there is any: agents go on with what they joined by.
func TestWhatServersShareIsBackedUp(t *testing.T) {
	t.Parallel()
	n := testNode(t)
	n.Keeps, n.Shared = []string{"token"}, []string{"agent-token"}
	from, to := t.TempDir(), t.TempDir()
	require.ErrorIs(t, n.keep(from, to), fs.ErrNotExist, "nothing opens the snapshot without it")
	require.NoError(t, os.WriteFile(filepath.Join(from, "token"), []byte("servers"), 0o600))
	require.NoError(t, n.keep(from, to))
	require.NoFileExists(t, filepath.Join(to, "agent-token"))
	require.NoError(t, os.WriteFile(filepath.Join(from, "agent-token"), []byte("agents"), 0o600))
	require.NoError(t, n.keep(from, to))
	for name, want := range map[string]string{"token": "servers", "agent-token": "agents"} {
		data, err := os.ReadFile(filepath.Join(to, name))
		require.NoError(t, err)
		require.Equal(t, want, string(data))
	}
}

func TestOnlyAClusterThatWasMadeIsBackedUp(t *testing.T) {
	t.Parallel()
	n := testNode(t)
	require.ErrorContains(t, Backup(t.Context(), n.Kind, n.Dir, t.TempDir()), "no cluster that could be backed up")
	for _, step := range []step{stepInstall, stepUpgrade} {
		require.NoError(t, n.writeRecord(record{Step: step, Cluster: n.Cluster}))
		require.ErrorContains(t, Backup(t.Context(), n.Kind, n.Dir, t.TempDir()), "no cluster that could be backed up")
	}
}

func TestABackupIsOneFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	_, err := only(filepath.Join(dir, "a-*"))
	require.ErrorContains(t, err, "are 0 files")
	require.NoError(t, os.WriteFile(filepath.Join(dir, "a-1"), nil, 0o600))
	file, err := only(filepath.Join(dir, "a-*"))
	require.NoError(t, err)
	require.Equal(t, filepath.Join(dir, "a-1"), file)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "a-2"), nil, 0o600))
	_, err = only(filepath.Join(dir, "a-*"))
	require.ErrorContains(t, err, "are 2 files")
}
