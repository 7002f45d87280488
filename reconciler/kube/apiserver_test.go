package kube

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-fleet/holdfast/bootstrap/embedded/embeddedtest"
)

// apiServer is a real kube-apiserver with its etcd and no controllers, which
// tests may stop and start again. Its data outlive a stop.
type apiServer struct {
	t          testing.TB
	dir        string
	kubeconfig string
	ports      []int    // API, etcd's clients, etcd's peers
	etcd       []string // more arguments
	processes  []*exec.Cmd
}

func startAPIServer(t testing.TB) *apiServer {
	t.Helper()
	s := &apiServer{t: t, dir: t.TempDir(), ports: embeddedtest.Ports(t, 3)}
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	s.write("sa.key", string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})))
	s.write("tokens.csv", "secret,admin,admin,system:masters\n")
	s.kubeconfig = s.write("kubeconfig", fmt.Sprintf(`apiVersion: v1
kind: Config
clusters: [{name: test, cluster: {server: "https://127.0.0.1:%d", insecure-skip-tls-verify: true}}]
users: [{name: test, user: {token: secret}}]
contexts: [{name: test, context: {cluster: test, user: test}}]
current-context: test
`, s.ports[0]))
	t.Cleanup(s.stop)
	s.start()
	return s
}

func (s *apiServer) start() {
	s.t.Helper()
	etcd := fmt.Sprintf("http://127.0.0.1:%d", s.ports[1])
	s.run("etcd", append([]string{"--data-dir", filepath.Join(s.dir, "etcd"), "--unsafe-no-fsync",
		"--listen-client-urls", etcd, "--advertise-client-urls", etcd,
		"--listen-peer-urls", fmt.Sprintf("http://127.0.0.1:%d", s.ports[2])}, s.etcd...)...)
	key := filepath.Join(s.dir, "sa.key")
	s.run("kube-apiserver", "--etcd-servers", etcd, "--bind-address", "127.0.0.1", "--secure-port", fmt.Sprint(s.ports[0]),
		"--cert-dir", filepath.Join(s.dir, "certs"), "--token-auth-file", filepath.Join(s.dir, "tokens.csv"),
		"--service-account-key-file", key, "--service-account-signing-key-file", key, "--service-account-issuer", "https://kubernetes",
		"--service-cluster-ip-range", "10.96.0.0/16", "--authorization-mode", "RBAC",
		"--disable-admission-plugins", "ServiceAccount") // it waits for accounts that controllers would make
	cluster, err := Connect(s.kubeconfig, nil)
	require.NoError(s.t, err)
	require.Eventually(s.t, func() bool { return cluster.Ready(s.t.Context()) == nil }, time.Minute, 50*time.Millisecond, "the API server is ready")
}

// stop kills the processes, as a power cut would.
func (s *apiServer) stop() {
	for _, p := range s.processes {
		_ = p.Process.Kill()
		_ = p.Wait()
	}
	s.processes = nil
}

// freeze makes the API server hang, and thaw go on.
func (s *apiServer) freeze() { s.signal(syscall.SIGSTOP) }
func (s *apiServer) thaw()   { s.signal(syscall.SIGCONT) }

func (s *apiServer) signal(sig syscall.Signal) {
	s.t.Helper()
	require.NoError(s.t, s.processes[len(s.processes)-1].Process.Signal(sig))
}

func (s *apiServer) run(name string, args ...string) {
	s.t.Helper()
	log, err := os.OpenFile(filepath.Join(s.dir, name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	require.NoError(s.t, err)
	defer log.Close()
	bin, err := embeddedtest.Programs()
	require.NoError(s.t, err)
	cmd := exec.Command(filepath.Join(bin, "kube"), args...)
	cmd.Args[0] = name
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	require.NoError(s.t, cmd.Start())
	s.processes = append(s.processes, cmd)
}

func (s *apiServer) write(name, text string) string {
	s.t.Helper()
	path := filepath.Join(s.dir, name)
	require.NoError(s.t, os.WriteFile(path, []byte(text), 0o600))
	return path
}
