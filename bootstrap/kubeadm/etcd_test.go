package kubeadm

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestAHostLeavesEtcdBeforeItsCutOffJoinIsTakenApart: who was let in to the authorities
// of the cluster may be a member of its etcd, or not yet.
func TestAHostLeavesEtcdBeforeItsCutOffJoinIsTakenApart(t *testing.T) {
	t.Parallel()
	pki := writeAuthority(t)
	store := &fakeEtcd{members: []member{{ID: "1", Name: "store-042-a"}, {ID: "18446744073709551615", Name: "store-042-b"}}}
	address := store.serve(t, pki)

	require.NoError(t, quit(t.Context(), "store-042-b", address, pki))
	require.Equal(t, []member{{ID: "1", Name: "store-042-a"}}, store.list())
	require.Equal(t, []string{"holdfast:quit:store-042-b"}, store.whoRemoved())

	require.NoError(t, quit(t.Context(), "store-042-b", address, pki), "it has left already")
	require.Len(t, store.whoRemoved(), 1)
}

// TestAHostThatEtcdNeedsIsNotTakenApart: kubeadm's reset would remove its data all the same.
func TestAHostThatEtcdNeedsIsNotTakenApart(t *testing.T) {
	t.Parallel()
	pki := writeAuthority(t)
	store := &fakeEtcd{members: []member{{ID: "1", Name: "store-042-a"}, {ID: "2", Name: "store-042-b"}}, refuses: "etcdserver: unhealthy cluster"}
	address := store.serve(t, pki)
	require.ErrorContains(t, quit(t.Context(), "store-042-b", address, pki), "remove store-042-b from etcd: ")
	require.ErrorContains(t, quit(t.Context(), "store-042-b", address, pki), "etcdserver: unhealthy cluster")
	require.Len(t, store.list(), 2)

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, quit(ctx, "store-042-b", address, pki), context.Canceled, "nor while nobody can say whether it is a member")
}

// TestAHostThatHasJoinedNoEtcdHasNoneToLeave, nor has one whose cluster is gone and
// another in its place.
func TestAHostThatHasJoinedNoEtcdHasNoneToLeave(t *testing.T) {
	t.Parallel()
	store := &fakeEtcd{members: []member{{ID: "1", Name: "store-042-a"}, {ID: "2", Name: "store-042-b"}}}
	address := store.serve(t, writeAuthority(t))
	require.NoError(t, quit(t.Context(), "store-042-b", address, t.TempDir()))
	require.NoError(t, quit(t.Context(), "store-042-b", address, writeAuthority(t)))
	require.Len(t, store.list(), 2)
}

// TestWhoWasCutOffBeforeItStartedKeepsNobodyFromJoining: the power of b and c fails just as etcd has heard of
// c, and b asks first. etcd has no room for a second learner.
func TestWhoWasCutOffBeforeItStartedKeepsNobodyFromJoining(t *testing.T) {
	t.Parallel()
	pki := writeAuthority(t)
	a, d := member{ID: "1", Name: "store-042-a"}, member{ID: "4"} // d is of a kubeadm that knows no learners
	store := &fakeEtcd{members: []member{a, {ID: "2", Name: "store-042-b"}, {ID: "3", Learner: true}, d}}
	own, err := tls.LoadX509KeyPair(filepath.Join(pki, "etcd/ca.crt"), filepath.Join(pki, "etcd/ca.key"))
	require.NoError(t, err)
	client, err := etcdAt(store.serve(t, pki), pki, own)
	require.NoError(t, err)
	require.NoError(t, client.makeWay(t.Context(), "store-042-b"))
	require.Equal(t, []member{a, d}, store.list())
}

// fakeEtcd keeps a list of members as etcd's gateway does, for whom its authority knows.
type fakeEtcd struct {
	mu      sync.Mutex
	members []member
	refuses string
	removed []string // names in the certificates of those who asked for it
}

func (f *fakeEtcd) list() []member {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.members
}

func (f *fakeEtcd) whoRemoved() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.removed
}

func (f *fakeEtcd) serve(t *testing.T, pki string) (address string) {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v3/cluster/member/list", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(map[string]any{"members": f.list()})
	})
	mux.HandleFunc("POST /v3/cluster/member/remove", func(w http.ResponseWriter, r *http.Request) {
		var sent struct{ ID string }
		if err := json.NewDecoder(r.Body).Decode(&sent); err != nil || f.refuses != "" {
			w.WriteHeader(http.StatusServiceUnavailable)
			fmt.Fprintf(w, `{"error":%q,"code":14}`, f.refuses)
			return
		}
		f.mu.Lock()
		defer f.mu.Unlock()
		var left []member
		for _, m := range f.members {
			if m.ID != sent.ID {
				left = append(left, m)
			}
		}
		f.members, f.removed = left, append(f.removed, r.TLS.PeerCertificates[0].Subject.CommonName)
		fmt.Fprint(w, "{}")
	})
	return serveEtcd(t, pki, mux)
}

// serveEtcd serves who shows a certificate of the authority of etcd below pki.
func serveEtcd(t *testing.T, pki string, handler http.Handler) (address string) {
	t.Helper()
	pair, err := tls.LoadX509KeyPair(filepath.Join(pki, "etcd/ca.crt"), filepath.Join(pki, "etcd/ca.key"))
	require.NoError(t, err)
	known, err := authorityOf(filepath.Join(pki, "etcd/ca.crt"))
	require.NoError(t, err)
	s := httptest.NewUnstartedServer(handler)
	s.TLS = &tls.Config{Certificates: []tls.Certificate{pair}, ClientCAs: known, ClientAuth: tls.RequireAndVerifyClientCert}
	s.StartTLS()
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

// writeAuthority makes one of etcd, which is its server here, too, below a folder.
func writeAuthority(t *testing.T) (pki string) {
	t.Helper()
	pki = t.TempDir()
	public, private, err := ed25519.GenerateKey(nil)
	require.NoError(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, NotAfter: time.Now().Add(24 * time.Hour), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, public, private)
	require.NoError(t, err)
	key, err := x509.MarshalPKCS8PrivateKey(private)
	require.NoError(t, err)
	require.NoError(t, os.Mkdir(filepath.Join(pki, "etcd"), 0o755))
	for name, block := range map[string]*pem.Block{"ca.crt": {Type: "CERTIFICATE", Bytes: der}, "ca.key": {Type: "PRIVATE KEY", Bytes: key}} {
		require.NoError(t, os.WriteFile(filepath.Join(pki, "etcd", name), pem.EncodeToMemory(block), 0o600))
	}
	return pki
}
