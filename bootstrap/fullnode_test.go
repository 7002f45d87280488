package bootstrap_test

import (
	"context"
	"io"
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

	"github.com/holdfast-fleet/holdfast/bootstrap"
	"github.com/holdfast-fleet/holdfast/bootstrap/embedded/embeddedtest"
	"github.com/holdfast-fleet/holdfast/content"
	"github.com/holdfast-fleet/holdfast/fleet"
)

// TestFullNode runs a node with pods through its life.
func TestFullNode(t *testing.T) {
	dir := shortDir(t)
	if inNamespaces(t, dir, "TestFullNode") {
		wholeLife(t, os.Getenv(insideVariable))
	}
}

// TestResetFromOutside removes a node whose namespaces ended under it, as with a host that lost power.
func TestResetFromOutside(t *testing.T) {
	dir := shortDir(t)
	if inNamespaces(t, dir, "TestResetFromOutside") {
		dir = os.Getenv(insideVariable)
		req, _ := fullRequest(t, dir)
		_, err := driver(t).Ensure(t.Context(), req)
		require.NoError(t, err)
		os.Exit(0) // process 1 of the namespace takes all others with it
	}
	if os.Getenv(insideVariable) == "" {
		require.NotEmpty(t, cgroups(t, dir+"/c"))
		require.NoError(t, driver(t).Reset(t.Context(), dir+"/c"))
		require.Empty(t, cgroups(t, dir+"/c"))
		require.NoDirExists(t, dir+"/c")
	}
}

func wholeLife(t *testing.T, dir string) {
	driver := driver(t)
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
	requireAnswer(t)
	t.Logf("service answers after %s", time.Since(began).Round(time.Millisecond))
	for range 4 { // two pods: one answers itself through the service, sooner or later
		require.Equal(t, "hello", kubectl(t, access, "", "exec", "deploy/web", "--", "/web", "get", "http://10.96.0.80/"))
	}
	logMemory(t)
	takeOver(ctx, t, req, access)
	stopAndReset(ctx, t, req, access)
}

// takeOver kills the supervisor: pods outlive it, and the next one finds them.
func takeOver(ctx context.Context, t *testing.T, req bootstrap.Request, access bootstrap.Access) {
	before := kubectl(t, access, "", "get", "pods", "-o", "jsonpath={.items[*].metadata.uid}")
	pid, err := os.ReadFile(filepath.Join(req.Dir, "run", "node.lock"))
	require.NoError(t, err)
	supervisor, err := strconv.Atoi(strings.TrimSpace(string(pid)))
	require.NoError(t, err)
	require.NoError(t, syscall.Kill(supervisor, syscall.SIGKILL))
	requireAnswer(t)
	began := time.Now()
	_, err = driver(t).Ensure(ctx, req)
	require.NoError(t, err)
	t.Logf("taken over after %s", time.Since(began).Round(time.Millisecond))
	requireAnswer(t)
	require.Equal(t, before, kubectl(t, access, "", "get", "pods", "-o", "jsonpath={.items[*].metadata.uid}"))
	require.Equal(t, "0 0", kubectl(t, access, "", "get", "pods", "-o", "jsonpath={.items[*].status.containerStatuses[0].restartCount}"))
}

// stopAndReset stops the node, which keeps what was declared, and then removes all of it.
func stopAndReset(ctx context.Context, t *testing.T, req bootstrap.Request, access bootstrap.Access) {
	driver := driver(t)
	began := time.Now()
	require.NoError(t, driver.Stop(ctx, req.Dir))
	t.Logf("stopped after %s", time.Since(began).Round(time.Millisecond))
	requireNothingRuns(t, req.Dir)
	_, err := driver.Ensure(ctx, req)
	require.NoError(t, err)
	kubectl(t, access, "", "rollout", "status", "deployment/web", "--timeout=60s")
	requireAnswer(t)

	began = time.Now()
	require.NoError(t, driver.Reset(ctx, req.Dir))
	t.Logf("reset after %s", time.Since(began).Round(time.Millisecond))
	requireNothingRuns(t, req.Dir)
	requireNoTraces(t, req.Dir)
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

// requireAnswer asks the service of the test's app.
func requireAnswer(t *testing.T) {
	t.Helper()
	client := &http.Client{Timeout: time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	require.Eventually(t, func() bool {
		resp, err := client.Get("http://10.96.0.80/")
		if err != nil {
			return false
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(io.LimitReader(resp.Body, 1000))
		return err == nil && string(body) == "hello"
	}, 30*time.Second, 50*time.Millisecond)
}
