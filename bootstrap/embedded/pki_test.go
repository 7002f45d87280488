package embedded

import (
	"crypto/x509"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func testNode(t *testing.T, controlPlane bool) *node {
	t.Helper()
	n := &node{Config: Config{Dir: "/d", Bin: "/d/bin/1", Host: "store-042-a", ControlPlane: controlPlane,
		PodCIDR: "10.244.7.0/24", ServiceCIDR: "10.96.0.0/16", Pause: "holdfast.dev/embedded/pause@sha256:0"},
		service: "10.96.0.1", address: "10.244.7.1/24",
		ports: ports{API: 6443, Etcd: 1, EtcdPeer: 2, ControllerManager: 3, Scheduler: 4, Kubelet: 5, KubeletHealth: 6, ProxyHealth: 7, ProxyMetrics: 8}}
	return n
}

func TestCertificatesOfANode(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "pki")
	now := time.Now()
	wanted := testNode(t, false).certificates()
	require.NoError(t, ensurePKI(dir, wanted, now))

	roots := map[string]*x509.CertPool{}
	for _, w := range wanted {
		path := filepath.Join(dir, w.name+".pem")
		info, err := os.Stat(path)
		require.NoError(t, err)
		require.Equal(t, os.FileMode(0o600), info.Mode().Perm(), path)
		have, err := readPair(path)
		require.NoError(t, err)
		if w.issuer == "" {
			require.True(t, have.cert.IsCA)
			roots[w.name] = x509.NewCertPool()
			roots[w.name].AddCert(have.cert)
			continue
		}
		usage := x509.ExtKeyUsageClientAuth
		if len(w.names) > 0 {
			usage = x509.ExtKeyUsageServerAuth
		}
		for name, pool := range roots {
			_, err := have.cert.Verify(x509.VerifyOptions{Roots: pool, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{usage}})
			require.Equal(t, name == w.issuer, err == nil, "%s by %s: %v", w.name, name, err)
		}
		for _, name := range w.names {
			require.NoError(t, have.cert.VerifyHostname(name), w.name)
		}
	}
	for _, file := range []string{"sa.pem"} {
		info, err := os.Stat(filepath.Join(dir, file))
		require.NoError(t, err)
		require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	}
}

func TestAPIServerNames(t *testing.T) {
	t.Parallel()
	for _, w := range testNode(t, true).certificates() {
		if w.name == "apiserver" {
			require.Equal(t, []string{"kubernetes", "kubernetes.default", "kubernetes.default.svc",
				"kubernetes.default.svc.cluster.local", "store-042-a", "10.96.0.1", "localhost", "127.0.0.1"}, w.names)
		}
	}
}

func TestRenewal(t *testing.T) {
	t.Parallel()
	base := []certificate{{name: "ca", user: "authority"}, {name: "leaf", issuer: "ca", user: "somebody", names: []string{"a", "127.0.0.1"}}}
	start := time.Date(2027, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, tt := range []struct {
		name           string
		now            time.Time
		change         func(t *testing.T, dir string, wanted []certificate)
		newLeaf, newCA bool
	}{
		{name: "what is good stays", now: start.Add(300 * 24 * time.Hour)},
		{name: "a leaf near its end is made again", now: start.Add(340 * 24 * time.Hour), newLeaf: true},
		{name: "an expired leaf is made again", now: start.Add(800 * 24 * time.Hour), newLeaf: true},
		{name: "an authority is made again before it limits its leaves", now: start.Add(9 * 365 * 24 * time.Hour), newLeaf: true, newCA: true},
		{name: "a clock set back changes nothing", now: time.Unix(1000, 0)},
		{name: "other names make a new leaf", now: start, newLeaf: true,
			change: func(_ *testing.T, _ string, wanted []certificate) { wanted[1].names = []string{"b"} }},
		{name: "another group makes a new leaf", now: start, newLeaf: true,
			change: func(_ *testing.T, _ string, wanted []certificate) { wanted[1].groups = []string{"g"} }},
		{name: "a lost authority takes its leaves along", now: start, newLeaf: true, newCA: true,
			change: func(t *testing.T, dir string, _ []certificate) {
				require.NoError(t, os.Remove(filepath.Join(dir, "ca.pem")))
			}},
		{name: "a cut file is made again", now: start, newLeaf: true,
			change: func(t *testing.T, dir string, _ []certificate) {
				require.NoError(t, os.Truncate(filepath.Join(dir, "leaf.pem"), 500))
			}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			wanted := append([]certificate{}, base...)
			require.NoError(t, ensurePKI(dir, wanted, start))
			ca, leaf, sa := read(t, dir, "ca.pem"), read(t, dir, "leaf.pem"), read(t, dir, "sa.pem")
			if tt.change != nil {
				tt.change(t, dir, wanted)
			}
			require.NoError(t, ensurePKI(dir, wanted, tt.now))
			require.Equal(t, tt.newCA, read(t, dir, "ca.pem") != ca)
			require.Equal(t, tt.newLeaf, read(t, dir, "leaf.pem") != leaf)
			require.Equal(t, sa, read(t, dir, "sa.pem"))
		})
	}
}

func TestADamagedServiceAccountKeyIsNotReplaced(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "sa.pem"), []byte("damaged"), 0o600))
	require.ErrorContains(t, ensurePKI(dir, nil, time.Now()), "sa.pem: no key in it")
}

func read(t *testing.T, parts ...string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(parts...))
	require.NoError(t, err)
	return string(data)
}
