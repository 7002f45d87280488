package embedded_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/holdfast-fleet/holdfast/bootstrap/embedded"
	"github.com/holdfast-fleet/holdfast/bootstrap/embedded/embeddedtest"
)

// cluster is one control plane of a test.
type cluster struct {
	t          *testing.T
	cfg        embedded.Config
	kubeconfig string
}

func newCluster(t *testing.T) *cluster {
	t.Helper()
	bin, err := embeddedtest.Programs()
	require.NoError(t, err)
	dir, err := os.MkdirTemp("", "hf") // short: the paths of sockets are limited
	require.NoError(t, err)
	c := &cluster{t: t, cfg: embedded.Config{Dir: dir, Bin: bin, Host: "store-042-a", ControlPlane: true}}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		require.NoError(t, embedded.Reset(ctx, dir))
		require.NoDirExists(t, dir)
		require.Empty(t, c.processes())
	})
	return c
}

// ensure returns how long it took.
func (c *cluster) ensure() time.Duration {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), time.Minute)
	defer cancel()
	began := time.Now()
	var err error
	c.kubeconfig, err = embedded.Ensure(ctx, c.cfg)
	require.NoError(c.t, err)
	return time.Since(began)
}

func (c *cluster) kubectl(args ...string) string {
	c.t.Helper()
	args = append([]string{"kubectl", "--kubeconfig", c.kubeconfig}, args...)
	out, err := exec.Command(c.cfg.Bin+"/kube", args...).CombinedOutput()
	require.NoError(c.t, err, string(out))
	return string(out)
}

// pid returns the process id of a part, once it has one.
func (c *cluster) pid(name string) int {
	c.t.Helper()
	file := name + ".pid"
	if name == "node" {
		file = "node.lock"
	}
	pid := 0
	require.Eventually(c.t, func() bool {
		data, err := os.ReadFile(filepath.Join(c.cfg.Dir, "run", file))
		if err == nil {
			pid, err = strconv.Atoi(strings.TrimSpace(string(data)))
		}
		return err == nil
	}, time.Minute, 10*time.Millisecond)
	return pid
}

// processes lists the command lines that name the cluster's directory.
func (c *cluster) processes() []string {
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	require.NoError(c.t, err)
	var found []string
	for _, file := range files {
		line, err := os.ReadFile(file)
		if err == nil && bytes.Contains(line, []byte(c.cfg.Dir+"/")) {
			found = append(found, string(bytes.ReplaceAll(line, []byte{0}, []byte{' '})))
		}
	}
	return found
}

func TestControlPlane(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	link := filepath.Join(t.TempDir(), "bin")
	require.NoError(t, os.Symlink(c.cfg.Bin, link))
	c.cfg.Bin = link // programs may lie elsewhere
	took := c.ensure()
	t.Logf("ready after %s", took.Round(time.Millisecond))

	etcd, fastest := c.pid("etcd"), time.Hour
	for range 5 {
		fastest = min(fastest, c.ensure())
	}
	t.Logf("nothing to do took %s", fastest.Round(time.Microsecond))
	require.Equal(t, etcd, c.pid("etcd"))

	info, err := os.Stat(c.kubeconfig)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	c.kubectl("create", "configmap", "kept", "--from-literal=a=b")
	require.Contains(t, c.kubectl("version"), "v1.36.3")

	out, err := exec.Command(c.cfg.Bin+"/node", "run", "--config", c.cfg.Dir+"/etc/node.json").CombinedOutput()
	require.Error(t, err)
	require.Contains(t, string(out), "another node runs in this directory")

	t.Run("strangers see health and nothing else", func(t *testing.T) { strangers(t, c) })
	t.Run("a stop ends every process and keeps the data", func(t *testing.T) {
		require.NoError(t, embedded.Stop(t.Context(), c.cfg.Dir))
		require.Empty(t, c.processes())
		t.Logf("ready again after %s", c.ensure().Round(time.Millisecond))
		c.kubectl("get", "configmap", "kept")
	})
	t.Run("a killed supervisor is taken over and the data kept", func(t *testing.T) { takenOver(t, c) })
	t.Run("a killed process comes back by itself", func(t *testing.T) {
		old := c.pid("etcd")
		require.NoError(t, syscall.Kill(old, syscall.SIGKILL))
		require.Eventually(t, func() bool { return c.pid("etcd") != old }, time.Minute, 20*time.Millisecond)
		c.ensure()
		c.kubectl("get", "configmap", "kept")
	})
	t.Run("what changed restarts, the rest does not", func(t *testing.T) {
		etcd, api, old := c.pid("etcd"), c.pid("kube-apiserver"), c.pid("kube-controller-manager")
		require.NoError(t, os.Remove(filepath.Join(c.cfg.Dir, "pki", "controller-manager.pem")))
		c.ensure()
		require.NotEqual(t, old, c.pid("kube-controller-manager"))
		require.Equal(t, []int{etcd, api}, []int{c.pid("etcd"), c.pid("kube-apiserver")})
	})
	t.Run("other programs replace those that run, the supervisor too", func(t *testing.T) { replaced(t, c) })
}

func takenOver(t *testing.T, c *cluster) {
	old, supervisor := []int{c.pid("etcd"), c.pid("kube-apiserver")}, c.pid("node")
	require.NoError(t, syscall.Kill(supervisor, syscall.SIGKILL))
	require.Eventually(t, func() bool { return unlocked(t, c.cfg.Dir) }, time.Minute, time.Millisecond)
	c.ensure()
	for _, pid := range old {
		line, _ := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/cmdline")
		require.NotContains(t, string(line), c.cfg.Dir)
	}
	c.kubectl("get", "configmap", "kept")
}

// unlocked tells whether nobody holds the supervisor's lock. One that was killed does until
// its last thread has ended, when it may be called a zombie already.
func unlocked(t *testing.T, dir string) bool {
	f, err := os.OpenFile(filepath.Join(dir, "run", "node.lock"), os.O_RDWR, 0)
	require.NoError(t, err)
	defer f.Close()
	lock := unix.Flock_t{Type: unix.F_WRLCK}
	require.NoError(t, unix.FcntlFlock(f.Fd(), unix.F_GETLK, &lock))
	return lock.Type == unix.F_UNLCK
}

func replaced(t *testing.T, c *cluster) {
	old := c.cfg.Bin
	c.cfg.Bin = filepath.Join(c.cfg.Dir, "bin")
	require.NoError(t, os.Mkdir(c.cfg.Bin, 0o700))
	for _, program := range []string{"kube", "node"} {
		out, err := exec.Command("cp", filepath.Join(old, program), c.cfg.Bin).CombinedOutput()
		require.NoError(t, err, string(out))
	}
	c.ensure()
	for _, part := range []string{"node", "etcd", "kube-apiserver", "kube-controller-manager"} {
		exe, err := os.Readlink("/proc/" + strconv.Itoa(c.pid(part)) + "/exe")
		require.NoError(t, err)
		require.Equal(t, c.cfg.Bin, filepath.Dir(exe))
	}
	c.kubectl("get", "configmap", "kept")
}

func strangers(t *testing.T, c *cluster) {
	server := strings.TrimSpace(c.kubectl("config", "view", "-o", "jsonpath={.clusters[0].cluster.server}"))
	require.True(t, strings.HasPrefix(server, "https://127.0.0.1:"), server)
	client := &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		TLSClientConfig:   &tls.Config{InsecureSkipVerify: true}, // the status code is what is tested
	}}
	for path, want := range map[string]int{"/readyz": 200, "/livez": 200, "/version": 401, "/api/v1/namespaces": 401} {
		resp, err := client.Get(server + path)
		require.NoError(t, err)
		resp.Body.Close()
		require.Equal(t, want, resp.StatusCode, path)
	}
}

func TestAStartThatCannotSucceedSaysWhy(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	c.cfg.APIPort = 1 << 17 // no port
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	_, err := embedded.Ensure(ctx, c.cfg)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.ErrorContains(t, err, "secure-port")
}
