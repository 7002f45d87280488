package embedded

import (
	"bytes"
	"encoding/json"
	"flag"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "rewrite golden files")

// TestRenderedConfiguration compares all that a node of each kind runs with and reads.
func TestRenderedConfiguration(t *testing.T) {
	t.Parallel()
	for name, controlPlane := range map[string]bool{"full": false, "control-plane": true, "trial": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := testNode(t, controlPlane)
			n.Trial = name == "trial"
			var got bytes.Buffer
			files := n.files()
			for _, file := range slices.Sorted(maps.Keys(files)) {
				got.WriteString("-- " + file + " --\n" + files[file])
			}
			got.WriteString("-- processes --\n")
			processes := n.processes()
			for i := range processes {
				if processes[i].Name == "containerd" {
					processes[i].Env = nil // holds this machine's PATH
				}
			}
			data, err := json.MarshalIndent(processes, "", "  ")
			require.NoError(t, err)
			got.Write(append(data, '\n'))
			golden := filepath.Join("testdata", name+".golden")
			if *update {
				require.NoError(t, os.MkdirAll("testdata", 0o755))
				require.NoError(t, os.WriteFile(golden, got.Bytes(), 0o644))
			}
			require.Equal(t, read(t, golden), got.String())
		})
	}
}

func TestEverythingListensOnLoopbackOrTheBridge(t *testing.T) {
	t.Parallel()
	for _, p := range testNode(t, false).processes() {
		for _, arg := range p.Args {
			_, value, _ := strings.Cut(arg, "=")
			if strings.Contains(arg, "listen-") || strings.Contains(arg, "bind-address") || strings.Contains(arg, "advertise-") {
				require.Contains(t, value, "127.0.0.1", arg)
			}
			require.NotContains(t, arg, "0.0.0.0")
			require.NotContains(t, arg, "token-auth-file")
		}
	}
}

func TestPorts(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first, err := choosePorts(dir, 0)
	require.NoError(t, err)
	again, err := choosePorts(dir, 0)
	require.NoError(t, err)
	require.Equal(t, first, again, "chosen ports stay")

	data, err := json.Marshal(first)
	require.NoError(t, err)
	var all map[string]int
	require.NoError(t, json.Unmarshal(data, &all))
	seen := map[int]bool{}
	for _, port := range all {
		require.False(t, seen[port], "each port is different")
		seen[port] = true
		l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		require.NoError(t, err)
		l.Close()
	}
	asked, err := choosePorts(dir, 6443)
	require.NoError(t, err)
	require.Equal(t, 6443, asked.API)
	require.Equal(t, first.Etcd, asked.Etcd)

	require.NoError(t, os.WriteFile(filepath.Join(dir, "ports.json"), []byte("{"), 0o600))
	_, err = choosePorts(dir, 0)
	require.ErrorContains(t, err, "ports.json")
}

func TestRefusedConfig(t *testing.T) {
	t.Parallel()
	good := Config{Dir: "/d", Bin: "/b", Host: "a", ControlPlane: true}
	for _, tt := range []struct {
		name   string
		change func(*Config)
		want   string
	}{
		{"a relative directory", func(c *Config) { c.Dir = "d" }, "must be absolute"},
		{"a directory too long for sockets", func(c *Config) { c.Dir, c.ControlPlane = "/"+strings.Repeat("d", maxDir), false }, "at most 36 bytes"},
		{"no host", func(c *Config) { c.Host = "" }, "host name and programs are required"},
		{"a pod network that is none", func(c *Config) { c.PodCIDR = "ten" }, "pod network"},
		{"a service network of IPv6", func(c *Config) { c.ServiceCIDR = "fd00::/112" }, "must be an IPv4 network"},
		{"a service network without room", func(c *Config) { c.ServiceCIDR = "10.0.0.0/31" }, "8 addresses or more"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			cfg := good
			tt.change(&cfg)
			_, err := layOut(cfg)
			require.ErrorContains(t, err, tt.want)
		})
	}
}
