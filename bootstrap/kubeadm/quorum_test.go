package kubeadm

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-fleet/holdfast/bootstrap/embedded/embeddedtest"
	"github.com/holdfast-fleet/holdfast/fleet"
	"github.com/holdfast-fleet/holdfast/peers"
)

// TestEtcdHasLostItsMajority where there is no leader and nobody else is there.
func TestEtcdHasLostItsMajority(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { listener.Close() })
	alive, off := []string{"https://" + listener.Addr().String()}, []string{fmt.Sprintf("https://127.0.0.1:%d", embeddedtest.Ports(t, 1)[0])}
	self := fellow{"store-042-c", alive}
	for name, test := range map[string]struct {
		leader  int
		members []fellow
		lost    []string
	}{
		"the others are off":                 {0, []fellow{self, {"store-042-b", off}, {"store-042-a", off}}, []string{"store-042-a", "store-042-b"}},
		"there is a leader":                  {1, []fellow{self, {"store-042-a", off}}, nil},
		"one of the others is there":         {0, []fellow{self, {"store-042-a", off}, {"store-042-b", alive}}, nil},
		"one has never started":              {0, []fellow{self, {"", off}}, off},
		"one of the others is anywhere":      {0, []fellow{self, {"store-042-a", []string{"%"}}}, nil},
		"it is the only one, and starts yet": {0, []fellow{self}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			metrics := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				fmt.Fprintf(w, "# TYPE etcd_server_has_leader gauge\netcd_server_has_leader %d\n", test.leader)
			}))
			t.Cleanup(metrics.Close)
			pki := writeAuthority(t)
			own, err := tls.LoadX509KeyPair(filepath.Join(pki, "etcd/ca.crt"), filepath.Join(pki, "etcd/ca.key"))
			require.NoError(t, err)
			authority, err := authorityOf(filepath.Join(pki, "etcd/ca.crt"))
			require.NoError(t, err)
			asPeer := etcdClient(authority, own)
			peer := serveEtcd(t, pki, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				_ = json.NewEncoder(w).Encode(map[string]any{"/members": test.members}[r.URL.Path])
			}))
			lost, err := newNode(Config{Host: "store-042-c"}).lostBy(t.Context(), metrics.URL, &asPeer, "https://"+peer)
			require.NoError(t, err)
			require.Equal(t, test.lost, names(lost))
		})
	}
}

// TestARealEtcdSaysWhomItMisses: it has started, found no leader, and hears no client.
func TestARealEtcdSaysWhomItMisses(t *testing.T) {
	t.Parallel()
	programs, err := embeddedtest.Programs()
	require.NoError(t, err)
	pki := writeAuthority(t)
	crt, key := filepath.Join(pki, "etcd/ca.crt"), filepath.Join(pki, "etcd/ca.key")
	var at []string
	for _, port := range embeddedtest.Ports(t, 4) {
		at = append(at, fmt.Sprintf("127.0.0.1:%d", port))
	}
	clients, peers, missing, metrics := "https://"+at[0], "https://"+at[1], "https://"+at[2], "http://"+at[3]
	store := exec.Command(filepath.Join(programs, "kube"), "etcd", "--name=store-042-c", "--data-dir="+t.TempDir(),
		"--listen-client-urls="+clients, "--advertise-client-urls="+clients, "--cert-file="+crt, "--key-file="+key,
		"--listen-peer-urls="+peers, "--initial-advertise-peer-urls="+peers, "--peer-cert-file="+crt, "--peer-key-file="+key,
		"--peer-client-cert-auth", "--peer-trusted-ca-file="+crt,
		"--initial-cluster=store-042-a="+missing+",store-042-c="+peers, "--listen-metrics-urls="+metrics)
	store.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	require.NoError(t, store.Start())
	t.Cleanup(func() { _, _ = store.Process.Kill(), store.Wait() })

	own, err := tls.LoadX509KeyPair(crt, key)
	require.NoError(t, err)
	authority, err := authorityOf(crt)
	require.NoError(t, err)
	asPeer := etcdClient(authority, own)
	n := newNode(Config{Host: "store-042-c"})
	require.NoError(t, n.await(t.Context(), func(ctx context.Context) error {
		lost, err := n.lostBy(ctx, metrics, &asPeer, peers)
		if err == nil {
			require.Equal(t, []fellow{{"store-042-a", []string{missing}}}, lost)
		}
		return err
	}))
}

// TestOnlyCommitsLeaveAHostAlone: of those that etcd misses the fleet must have none as it was, and nobody may know of a cluster.
func TestOnlyCommitsLeaveAHostAlone(t *testing.T) {
	t.Parallel()
	server := func(name string) peers.Member { return peers.Member{Name: name, Role: fleet.ControlPlane} }
	worker := func(name string) peers.Member { return peers.Member{Name: name, Role: fleet.Worker} }
	lost := []fellow{{Name: "store-042-a"}, {Name: "store-042-b"}}
	for name, test := range map[string]struct {
		lost    []fellow
		members []peers.Member
		removed []string
		answers asked
		want    bool
	}{
		"both are removed":        {lost, []peers.Member{server("store-042-c")}, []string{"store-042-a", "store-042-b"}, nil, true},
		"with workers about":      {lost, []peers.Member{worker("store-042-d"), server("store-042-c")}, []string{"store-042-a", "store-042-b"}, nil, true},
		"one is a worker now":     {lost, []peers.Member{worker("store-042-a"), server("store-042-c")}, []string{"store-042-b"}, nil, true},
		"one is to come back":     {lost, []peers.Member{server("store-042-a"), server("store-042-c")}, []string{"store-042-b"}, nil, false},
		"one is here, as it was":  {lost, []peers.Member{server("store-042-a"), server("store-042-c")}, []string{"store-042-b"}, asked{"store-042-a": {Known: true}}, false},
		"one is another machine":  {lost, []peers.Member{server("store-042-a"), server("store-042-c")}, []string{"store-042-b"}, asked{"store-042-a": {}}, true},
		"one is unknown":          {lost, []peers.Member{server("store-042-c")}, []string{"store-042-b"}, nil, false},
		"one has never started":   {[]fellow{{}}, []peers.Member{server("store-042-c")}, []string{"store-042-b"}, nil, false},
		"another is in its place": {lost, []peers.Member{server("store-042-c"), server("store-042-d")}, []string{"store-042-a", "store-042-b"}, asked{"store-042-d": {}}, true},
		"another is off":          {lost, []peers.Member{server("store-042-c"), server("store-042-d")}, []string{"store-042-a", "store-042-b"}, nil, false},
		"another was with them":   {lost, []peers.Member{server("store-042-c"), server("store-042-d")}, []string{"store-042-a", "store-042-b"}, asked{"store-042-d": {Known: true}}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := newNode(Config{Host: "store-042-c", Members: test.members, Removed: test.removed, Peers: test.answers})
			require.Equal(t, test.want, n.isLeftBy(t.Context(), test.lost))
		})
	}
}

// asked are hosts that answer, by name; the others are off.
type asked map[string]peers.Cluster

func (a asked) Cluster(_ context.Context, of peers.Member) (peers.Cluster, error) {
	if known, ok := a[of.Name]; ok {
		return known, nil
	}
	return peers.Cluster{}, errors.New("no answer")
}

func (asked) Join(context.Context, peers.Member) (peers.Material, error) {
	return nil, errors.ErrUnsupported
}
func (asked) Away(context.Context, peers.Member, bool) error    { return errors.ErrUnsupported }
func (asked) Back(context.Context, peers.Member) error          { return errors.ErrUnsupported }
func (asked) Leave(context.Context, peers.Member, string) error { return errors.ErrUnsupported }
