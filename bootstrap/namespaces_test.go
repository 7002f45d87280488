package bootstrap_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"net"
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
)

const insideVariable = "HOLDFAST_TEST_INSIDE"

// machineDirs are where Kubernetes leaves things whatever its configuration
// says. Each node of the tests has its own mounted over them.
var machineDirs = []string{"/var/lib/kubelet", "/var/log/containers", "/var/lib/cni"}

// TestMain makes the folders of machineDirs that are missing, for all tests.
func TestMain(m *testing.M) {
	var made []string
	for _, dir := range machineDirs {
		if os.Mkdir(dir, 0o755) == nil {
			made = append(made, dir)
		}
	}
	code := m.Run()
	for _, dir := range made {
		os.Remove(dir)
	}
	os.Exit(code)
}

// shortDir returns a folder for a node, whatever becomes of it, removed with the test.
func shortDir(t *testing.T) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("a node that runs pods needs root: run the tests as root, or leave this one out with -skip")
	}
	if os.Getenv(insideVariable) != "" {
		return ""
	}
	dir, err := os.MkdirTemp("", "hfn")
	require.NoError(t, err)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		require.NoError(t, driver(t).Reset(ctx, dir+"/c"))
		require.NoError(t, os.RemoveAll(dir))
	})
	return dir
}

func driver(t *testing.T) bootstrap.Driver {
	t.Helper()
	d, err := bootstrap.For("embedded")
	require.NoError(t, err)
	return d
}

// inNamespaces runs the test again as process 1 of network, pid and mount
// namespaces of its own, where it returns true: all that starts there ends with it.
func inNamespaces(t *testing.T, dir, test string) bool {
	t.Helper()
	if os.Getenv(insideVariable) != "" {
		require.NoError(t, unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""))
		require.NoError(t, unix.Mount("proc", "/proc", "proc", 0, ""))
		for _, dir := range machineDirs {
			require.NoError(t, unix.Mount("tmpfs", dir, "tmpfs", 0, ""))
		}
		return true
	}
	cmd := exec.Command(os.Args[0], "-test.run=^"+test+"$", "-test.v", "-test.timeout=5m")
	cmd.Env = append(os.Environ(), insideVariable+"="+dir)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: unix.CLONE_NEWNET | unix.CLONE_NEWPID | unix.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL,
	}
	require.NoError(t, cmd.Run())
	return false
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
	require.Empty(t, cgroups(t, dir))
}

func cgroups(t *testing.T, dir string) []string {
	t.Helper()
	sum := sha256.Sum256([]byte(dir))
	found, err := filepath.Glob("/sys/fs/cgroup/*/holdfast-" + hex.EncodeToString(sum[:5]))
	require.NoError(t, err)
	return found
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
