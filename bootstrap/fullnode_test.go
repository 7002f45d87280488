package bootstrap_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net"
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

	"github.com/holdfast-fleet/holdfast/bootstrap"
	"github.com/holdfast-fleet/holdfast/bootstrap/embedded/embeddedtest"
	"github.com/holdfast-fleet/holdfast/content"
	"github.com/holdfast-fleet/holdfast/fleet"
)

const insideVariable = "HOLDFAST_TEST_INSIDE"

// TestFullNode runs a node with pods in network, pid and mount namespaces of
// its own, as a test of a whole host does: it runs itself again in them.
func TestFullNode(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Fatal("a node that runs pods needs root: run the tests as root, or leave this one out with -skip TestFullNode")
	}
	if os.Getenv(insideVariable) != "" {
		insideFullNode(t)
		return
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestFullNode$", "-test.v", "-test.timeout=5m")
	cmd.Env = append(os.Environ(), insideVariable+"=1")
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: unix.CLONE_NEWNET | unix.CLONE_NEWPID | unix.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL,
	}
	require.NoError(t, cmd.Run())
}

// insideFullNode is process 1 of its namespaces: all that it starts ends with it.
func insideFullNode(t *testing.T) {
	require.NoError(t, unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""))
	require.NoError(t, unix.Mount("proc", "/proc", "proc", 0, ""))
	for _, dir := range []string{"/var/lib/kubelet", "/var/log/containers", "/var/lib/cni"} {
		require.NoError(t, os.MkdirAll(dir, 0o755))
		require.NoError(t, unix.Mount("tmpfs", dir, "tmpfs", 0, ""))
	}
	dir, err := os.MkdirTemp("", "hfn")
	require.NoError(t, err)
	driver, err := bootstrap.For("embedded")
	require.NoError(t, err)
	reset := func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		require.NoError(t, driver.Reset(ctx, filepath.Join(dir, "c")))
		require.NoError(t, os.RemoveAll(dir))
	}
	defer reset()

	req, image := fullRequest(t, dir)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	began := time.Now()
	access, err := driver.Ensure(ctx, req)
	require.NoError(t, err)
	t.Logf("node ready after %s", time.Since(began).Round(time.Millisecond))

	began = time.Now()
	again, err := driver.Ensure(ctx, req)
	require.NoError(t, err)
	require.Equal(t, access, again)
	t.Logf("nothing to do took %s", time.Since(began).Round(time.Microsecond))

	manifest, err := os.ReadFile("testdata/web.yaml")
	require.NoError(t, err)
	began = time.Now()
	kubectl(t, access, strings.ReplaceAll(string(manifest), "IMAGE", image), "apply", "-f", "-")
	kubectl(t, access, "", "rollout", "status", "deployment/web", "--timeout=60s")
	t.Logf("pods ready after %s", time.Since(began).Round(time.Millisecond))
	requireAnswer(t, "http://10.96.0.80/", "hello")
	t.Logf("service answers after %s", time.Since(began).Round(time.Millisecond))
	for range 4 { // two pods: one answers itself through the service, sooner or later
		require.Equal(t, "hello", kubectl(t, access, "", "exec", "deploy/web", "--", "/web", "get", "http://10.96.0.80/"))
	}
	logMemory(t)

	// Pods outlive the supervisor, and the next one finds them.
	before := kubectl(t, access, "", "get", "pods", "-o", "jsonpath={.items[*].metadata.uid}")
	pid, err := os.ReadFile(filepath.Join(req.Dir, "run", "node.lock"))
	require.NoError(t, err)
	supervisor, err := strconv.Atoi(strings.TrimSpace(string(pid)))
	require.NoError(t, err)
	require.NoError(t, syscall.Kill(supervisor, syscall.SIGKILL))
	requireAnswer(t, "http://10.96.0.80/", "hello")
	began = time.Now()
	_, err = driver.Ensure(ctx, req)
	require.NoError(t, err)
	t.Logf("taken over after %s", time.Since(began).Round(time.Millisecond))
	requireAnswer(t, "http://10.96.0.80/", "hello")
	require.Equal(t, before, kubectl(t, access, "", "get", "pods", "-o", "jsonpath={.items[*].metadata.uid}"))
	require.Equal(t, "0 0", kubectl(t, access, "", "get", "pods", "-o", "jsonpath={.items[*].status.containerStatuses[0].restartCount}"))

	// A stop ends all of it and keeps what was declared.
	began = time.Now()
	require.NoError(t, driver.Stop(ctx, req.Dir))
	t.Logf("stopped after %s", time.Since(began).Round(time.Millisecond))
	requireNothingRuns(t, req.Dir)
	_, err = driver.Ensure(ctx, req)
	require.NoError(t, err)
	kubectl(t, access, "", "rollout", "status", "deployment/web", "--timeout=60s")
	requireAnswer(t, "http://10.96.0.80/", "hello")

	began = time.Now()
	require.NoError(t, driver.Reset(ctx, req.Dir))
	t.Logf("reset after %s", time.Since(began).Round(time.Millisecond))
	requireNothingRuns(t, req.Dir)
	requireNoTraces(t, req.Dir)
}

// requireNothingRuns looks for processes and mounts of dir and for cgroups, of any node of the tests here.
func requireNothingRuns(t *testing.T, dir string) {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	require.NoError(t, err)
	for _, file := range files {
		line, err := os.ReadFile(file)
		if err == nil && !strings.HasPrefix(file, "/proc/1/") {
			require.Empty(t, string(line), "only this test and zombies are left in the namespace")
		}
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	require.NoError(t, err)
	require.NotContains(t, string(mounts), dir+"/")
	sum := sha256.Sum256([]byte(dir))
	cgroups, err := filepath.Glob("/sys/fs/cgroup/*/holdfast-" + hex.EncodeToString(sum[:5]))
	require.NoError(t, err)
	require.Empty(t, cgroups)
}

// requireNoTraces looks at what lies outside the directory.
func requireNoTraces(t *testing.T, dir string) {
	t.Helper()
	require.NoDirExists(t, dir)
	links, err := net.Interfaces()
	require.NoError(t, err)
	require.Len(t, links, 1, "only loopback is left: %v", links)
	rules, err := exec.Command("nft", "list", "tables").CombinedOutput()
	require.NoError(t, err)
	require.Empty(t, string(rules))
	for _, pattern := range []string{"/var/log/containers/*", "/var/lib/cni/*/*"} {
		files, err := filepath.Glob(pattern)
		require.NoError(t, err)
		require.Empty(t, files)
	}
}

// fullRequest stores what was built and asks for a node of it. image is a program's, as pods name it.
func fullRequest(t *testing.T, dir string) (bootstrap.Request, string) {
	t.Helper()
	store, err := content.Open(filepath.Join(dir, "content"))
	require.NoError(t, err)
	d := fleet.Distribution{Name: "test", Type: "embedded", Version: "v1.36.3", PodCIDR: "10.244.7.0/24"}
	driver, err := bootstrap.For(d.Type)
	require.NoError(t, err)
	refs := driver.Needs(d)
	require.Len(t, refs, 2)

	bin, err := embeddedtest.Programs()
	require.NoError(t, err)
	files, err := filepath.Glob(bin + "/[a-z]*")
	require.NoError(t, err)
	programs, err := store.AddFiles(refs[0], files)
	require.NoError(t, err)
	pause, err := store.AddProgram(refs[1], bin+"/pause")
	require.NoError(t, err)

	web := filepath.Join(dir, "web")
	build := exec.Command("go", "build", "-trimpath", "-o", web, "./testdata/web")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	out, err := build.CombinedOutput()
	require.NoError(t, err, string(out))
	const ref = "holdfast.dev/test/web:v1"
	digest, err := store.AddProgram(ref, web)
	require.NoError(t, err)
	return bootstrap.Request{
		Dir: filepath.Join(dir, "c"), Host: "store-042-a", Distribution: d, Store: store,
		Content: map[string]string{refs[0]: programs, refs[1]: pause},
		Images:  map[string]string{ref: digest},
	}, ref + "@" + digest
}

func kubectl(t *testing.T, access bootstrap.Access, stdin string, args ...string) string {
	t.Helper()
	bin, err := embeddedtest.Programs()
	require.NoError(t, err)
	cmd := exec.Command(bin+"/kube", append([]string{"kubectl", "--kubeconfig", access.Kubeconfig}, args...)...)
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	if err != nil {
		more, _ := exec.Command(bin+"/kube", "kubectl", "--kubeconfig", access.Kubeconfig, "get", "events", "-A").CombinedOutput()
		out = append(out, more...)
	}
	require.NoError(t, err, string(out))
	return string(out)
}

func requireAnswer(t *testing.T, url, want string) {
	t.Helper()
	client := &http.Client{Timeout: time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	require.Eventually(t, func() bool {
		resp, err := client.Get(url)
		if err != nil {
			return false
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(io.LimitReader(resp.Body, 1000))
		return err == nil && string(body) == want
	}, 30*time.Second, 50*time.Millisecond)
}

// logMemory prints the resident memory of each process that can be seen.
func logMemory(t *testing.T) {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/status")
	require.NoError(t, err)
	for _, file := range files {
		status, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		line, _ := os.ReadFile(filepath.Join(filepath.Dir(file), "cmdline"))
		words := bytes.Split(line, []byte{0})
		if len(words) < 2 {
			continue
		}
		kb := map[string]int{"VmRSS:": 0, "RssAnon:": 0}
		for key := range kb {
			_, rest, _ := bytes.Cut(status, []byte(key))
			number, _, _ := bytes.Cut(bytes.TrimSpace(rest), []byte(" "))
			kb[key], err = strconv.Atoi(string(number))
			require.NoError(t, err, file)
		}
		t.Logf("%4d MB, %4d of its own: %s %s", kb["VmRSS:"]/1024, kb["RssAnon:"]/1024, filepath.Base(string(words[0])), words[1])
	}
}
