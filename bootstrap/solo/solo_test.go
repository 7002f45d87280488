package solo

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func testNode(t *testing.T) *node {
	t.Helper()
	dir := t.TempDir()
	return newNode(Config{
		Kind: Kind{Name: "holdfast-test", Images: filepath.Join(dir, "agent"), Once: ".cache.json"},
		Wanted: Wanted{
			Dir: filepath.Join(dir, "own"), Archives: filepath.Join(dir, "unpacked", "0a1b"),
			Cluster: Cluster{Version: "v1.36.3+k3s1", PodCIDR: "10.42.0.0/16", ServiceCIDR: "10.43.0.0/16", APIPort: 6443},
		},
	})
}

func TestWhatAClusterMayBecome(t *testing.T) {
	t.Parallel()
	was := testNode(t).Cluster
	for _, tt := range []struct {
		name string
		to   func(*Cluster)
		want string
	}{
		{"the same", func(*Cluster) {}, ""},
		{"another build", func(c *Cluster) { c.Version = "v1.36.3+k3s2" }, ""},
		{"an older patch", func(c *Cluster) { c.Version = "v1.36.1+k3s1" }, ""},
		{"the next minor", func(c *Cluster) { c.Version = "v1.37.0+k3s1" }, ""},
		{"one minor left out", func(c *Cluster) { c.Version = "v1.38.0+k3s1" }, "goes up one minor version at a time"},
		{"an older minor", func(c *Cluster) { c.Version = "v1.35.9+k3s1" }, "does not go back from v1.36.3+k3s1 to v1.35.9+k3s1"},
		{"other pods", func(c *Cluster) { c.PodCIDR = "10.44.0.0/16" }, "networks and port of a cluster cannot change"},
		{"another port", func(c *Cluster) { c.APIPort = 6444 }, "networks and port of a cluster cannot change"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			is := was
			tt.to(&is)
			err := mayBecome(was, is)
			if tt.want == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, tt.want)
			var hint interface{ Hint() string }
			require.ErrorAs(t, err, &hint)
		})
	}
}

func TestADamagedRecordIsNoLicence(t *testing.T) {
	t.Parallel()
	n := testNode(t)
	rec, err := n.readRecord()
	require.NoError(t, err)
	require.Empty(t, rec)
	require.NoError(t, n.writeRecord(record{Step: stepUpgrade, Cluster: n.Cluster, Back: "v1.35.9+k3s1"}))
	rec, err = n.readRecord()
	require.NoError(t, err)
	require.Equal(t, record{Step: stepUpgrade, Cluster: n.Cluster, Back: "v1.35.9+k3s1"}, rec)
	for _, text := range []string{"", "{", `{"step":"removed"}`, "null"} {
		require.NoError(t, os.WriteFile(n.recordFile(), []byte(text), 0o600))
		_, err := n.readRecord()
		require.ErrorContains(t, err, "is damaged", "%q", text)
	}
}

func TestAControlPlaneKeepsItsAddress(t *testing.T) {
	t.Parallel()
	n := testNode(t)
	address, err := n.address(record{Address: "10.0.0.7"})
	require.NoError(t, err)
	require.Equal(t, "10.0.0.7", address, "whatever the default route says today")
	n.Network.Address = "10.0.0.7"
	_, err = n.address(record{Address: "10.0.0.7"})
	require.NoError(t, err)
	n.Network.Address = "10.0.0.8"
	_, err = n.address(record{Address: "10.0.0.7"})
	require.ErrorContains(t, err, "a control plane keeps its address")
}

// TestArchivesComeAndGo follows the archives of a version, and of the next.
func TestArchivesComeAndGo(t *testing.T) {
	t.Parallel()
	n := testNode(t)
	unpack := func(digest, name string) {
		n.Archives = filepath.Join(filepath.Dir(n.Archives), digest)
		require.NoError(t, os.MkdirAll(n.Archives, 0o755))
		for _, file := range []string{name, ".holdfast-content"} {
			require.NoError(t, os.WriteFile(filepath.Join(n.Archives, file), []byte(digest), 0o600))
		}
	}
	names := func(dir string) (list []string) {
		entries, err := os.ReadDir(dir)
		require.NoError(t, err)
		for _, e := range entries {
			list = append(list, e.Name())
		}
		return list
	}
	unpack("0a1b", "images.tar")
	require.False(t, n.archivesPlaced())
	require.NoError(t, n.placeArchives())
	require.True(t, n.archivesPlaced())
	require.NoError(t, os.WriteFile(filepath.Join(n.Images, "people.tar"), nil, 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(n.Images, n.Once), []byte("what was imported"), 0o600))
	unpack("2c3d", "images.tar")
	require.NoError(t, n.placeArchives())
	require.Equal(t, []string{".cache.json", "holdfast-0a1b-images.tar", "holdfast-2c3d-images.tar", "people.tar"}, names(n.Images))
	require.NoError(t, n.dropArchives())
	require.Equal(t, []string{".cache.json", "holdfast-2c3d-images.tar", "people.tar"}, names(n.Images))
	require.Equal(t, []string{"2c3d"}, names(filepath.Dir(n.Archives)))
	once, err := os.ReadFile(filepath.Join(n.Images, n.Once))
	require.NoError(t, err)
	require.Equal(t, "what was imported", string(once))
}

func TestAWorkerHasAUnitOfItsOwn(t *testing.T) {
	t.Parallel()
	n := testNode(t)
	n.Unit, n.Agent = "holdfast-test", "holdfast-test-agent"
	require.Equal(t, "holdfast-test", n.unit())
	n.Worker = true
	require.Equal(t, "holdfast-test-agent", n.unit())

	require.NoError(t, n.writeRecord(record{Step: stepReady, Worker: true, Cluster: n.Cluster}))
	state, err := Read(n.Kind, n.Dir)
	require.NoError(t, err)
	require.Equal(t, State{Known: true, Ready: true, Worker: true, Cluster: n.Cluster}, state)
	again, _, err := made(n.Kind, n.Dir)
	require.NoError(t, err)
	require.Equal(t, "holdfast-test-agent", again.unit(), "what takes it apart knows its unit")
}
