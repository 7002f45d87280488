package peers_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/holdfast-fleet/holdfast/fleet"
	"github.com/holdfast-fleet/holdfast/peers"
)

// machine is a host with a key, as the fleet lists it.
type machine struct {
	key ed25519.PrivateKey
	peers.Member
}

func newMachine(t *testing.T, name string, role fleet.Role) machine {
	t.Helper()
	public, private, err := ed25519.GenerateKey(nil)
	require.NoError(t, err)
	key, err := ssh.NewPublicKey(public)
	require.NoError(t, err)
	return machine{private, peers.Member{Name: name, Identity: string(ssh.MarshalAuthorizedKey(key)), Role: role, Network: fleet.Network{Address: "127.0.0.1"}}}
}

// cluster is what the host that answers knows, and whom it let join.
type cluster struct {
	mu    sync.Mutex
	given []string
	moved []string
	full  bool
}

func (c *cluster) Cluster(context.Context) (peers.Cluster, error) {
	return peers.Cluster{Known: true, Gives: true, Nodes: []peers.Node{{Name: "a", Address: "10.0.0.11", Pods: "10.244.0.0/24"}}}, nil
}

func (c *cluster) Give(_ context.Context, to peers.Member) (peers.Material, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.full {
		return nil, errors.New("another host joins just now")
	}
	c.given = append(c.given, to.Name+" as "+string(to.Role))
	return peers.Material{"ca.crt": []byte("certificate"), "ca.key": []byte("key")}, nil
}

func (c *cluster) Away(_ context.Context, who peers.Member, anew bool) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.full {
		return errors.New("d is away, and maxUnavailable is 1")
	}
	c.moved = append(c.moved, fmt.Sprintf("%s away, anew %t", who.Name, anew))
	return nil
}

func (c *cluster) Back(_ context.Context, who peers.Member) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.moved = append(c.moved, who.Name+" back")
	return nil
}

func (c *cluster) LetGo(_ context.Context, who peers.Member, back string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.full {
		return errors.New("etcd would have no quorum")
	}
	left := who.Name + " left"
	if back != "" {
		left += " for " + back
	}
	c.moved = append(c.moved, left)
	return nil
}

func (c *cluster) joined() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]string{}, c.given...)
}

// lan is host a, whose port answers, with its log.
type lan struct {
	a      machine
	local  *cluster
	server *peers.Server
	log    *log
}

type log struct {
	mu sync.Mutex
	bytes.Buffer
}

func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.Buffer.Write(p)
}

func (l *log) text() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.String()
}

func newLAN(t *testing.T, others ...machine) *lan {
	t.Helper()
	l := &lan{a: newMachine(t, "a", fleet.ControlPlane), local: &cluster{}, log: &log{}}
	l.server = &peers.Server{Key: l.a.key, Local: l.local, Address: "127.0.0.1:0", Log: slog.New(slog.NewTextHandler(l.log, nil))}
	t.Cleanup(func() { require.NoError(t, l.server.Close()) })
	l.admit(t, others...)
	return l
}

func (l *lan) admit(t *testing.T, others ...machine) {
	t.Helper()
	list := []peers.Member{l.a.Member}
	for _, m := range others {
		list = append(list, m.Member)
	}
	require.NoError(t, l.server.Admit("a", list))
}

// from asks host a as a machine would.
func (l *lan) from(t *testing.T, m machine) *peers.Client {
	t.Helper()
	_, port, err := net.SplitHostPort(l.server.Listening())
	require.NoError(t, err)
	number, err := strconv.Atoi(port)
	require.NoError(t, err)
	return &peers.Client{Key: m.key, Port: number}
}

func TestAHostOfTheSiteIsGivenWhatJoiningTakes(t *testing.T) {
	t.Parallel()
	b := newMachine(t, "b", fleet.Worker)
	l := newLAN(t, b)
	knows, err := l.from(t, b).Cluster(t.Context(), l.a.Member)
	require.NoError(t, err)
	require.True(t, knows.Known && knows.Gives)
	require.Equal(t, []peers.Node{{Name: "a", Address: "10.0.0.11", Pods: "10.244.0.0/24"}}, knows.Nodes)

	material, err := l.from(t, b).Join(t.Context(), l.a.Member)
	require.NoError(t, err)
	require.Equal(t, peers.Material{"ca.crt": []byte("certificate"), "ca.key": []byte("key")}, material)
	require.Equal(t, []string{"b as worker"}, l.local.joined(), "the fleet says the role, not who asks")
	require.Contains(t, l.log.text(), `msg="peer was given what joining takes" to=b role=worker files="ca.crt ca.key"`)
	require.NotContains(t, l.log.text(), "certificate")
}

func TestAHostIsLetGoByItsOwnNameAlone(t *testing.T) {
	t.Parallel()
	b := newMachine(t, "b", fleet.Worker)
	l := newLAN(t, b, newMachine(t, "c", fleet.Worker))
	require.NoError(t, l.from(t, b).Leave(t.Context(), l.a.Member, ""))
	require.NoError(t, l.from(t, b).Leave(t.Context(), l.a.Member, "v1.35.9+k3s1"))
	require.Equal(t, []string{"b left", "b left for v1.35.9+k3s1"}, l.local.moved)
	require.Contains(t, l.log.text(), `msg="peer was let go, to join anew" peer=b role=worker back=v1.35.9+k3s1`)
	l.local.full = true
	require.EqualError(t, l.from(t, b).Leave(t.Context(), l.a.Member, ""), "a: etcd would have no quorum")
}

func TestAReasonIsPassedOn(t *testing.T) {
	t.Parallel()
	b := newMachine(t, "b", fleet.ControlPlane)
	l := newLAN(t, b)
	l.local.full = true
	_, err := l.from(t, b).Join(t.Context(), l.a.Member)
	var refused *peers.RefusedError
	require.ErrorAs(t, err, &refused)
	require.EqualError(t, err, "a: another host joins just now")
}

// TestWhoIsRefused has everybody else ask, who get neither an answer nor a reason.
func TestWhoIsRefused(t *testing.T) {
	t.Parallel()
	for _, who := range []string{"a key that nobody registered", "a host of another site", "a host that was removed", "the host's own key"} {
		t.Run(who, func(t *testing.T) {
			t.Parallel()
			b, asks := newMachine(t, "b", fleet.Worker), newMachine(t, "c", fleet.ControlPlane)
			l := newLAN(t, b)
			switch who {
			case "a host that was removed":
				l.admit(t, b, asks)
				_, err := l.from(t, asks).Join(t.Context(), l.a.Member)
				require.NoError(t, err, "it was one of them")
				l.admit(t, b)
			case "the host's own key":
				asks = l.a
			}
			before := len(l.local.joined())
			_, err := l.from(t, asks).Cluster(t.Context(), l.a.Member)
			require.ErrorContains(t, err, "tls: bad certificate")
			_, err = l.from(t, asks).Join(t.Context(), l.a.Member)
			require.ErrorContains(t, err, "tls: bad certificate")
			require.ErrorContains(t, l.from(t, asks).Leave(t.Context(), l.a.Member, ""), "tls: bad certificate")
			require.Len(t, l.local.joined(), before)
			require.Contains(t, l.log.text(), "no active host of this site has its key")
		})
	}
}

func TestAStrangerInTheMiddleIsNoPeer(t *testing.T) {
	t.Parallel()
	b := newMachine(t, "b", fleet.Worker)
	l := newLAN(t, b)
	expected := newMachine(t, "a", fleet.ControlPlane).Member // at the same address, with another key
	_, err := l.from(t, b).Join(t.Context(), expected)
	require.ErrorContains(t, err, "not that of a")
	require.Empty(t, l.local.joined())
}

func TestWhoShowsNoKeyIsRefused(t *testing.T) {
	t.Parallel()
	l := newLAN(t, newMachine(t, "b", fleet.Worker))
	dialer := tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS13}}
	conn, err := dialer.DialContext(t.Context(), "tcp", l.server.Listening())
	if err == nil { // in TLS 1.3 the client ends its handshake first
		defer conn.Close()
		_, err = conn.Write([]byte("GET /v1/cluster HTTP/1.1\r\nHost: a\r\n\r\n"))
		require.NoError(t, err)
		_, err = conn.Read(make([]byte, 1))
	}
	require.ErrorContains(t, err, "certificate required")
}

func TestThePortIsOpenForOthersAlone(t *testing.T) {
	t.Parallel()
	b := newMachine(t, "b", fleet.Worker)
	l := newLAN(t)
	require.Empty(t, l.server.Listening(), "a site of one host has no port")
	l.admit(t, b)
	open := l.server.Listening()
	require.NotEmpty(t, open)
	l.admit(t)
	require.Empty(t, l.server.Listening())
	_, err := (&net.Dialer{Timeout: 30 * time.Second}).DialContext(t.Context(), "tcp", open)
	require.ErrorContains(t, err, "refused")

	for range 200 { // also while it is being opened
		l.admit(t, b)
		l.admit(t)
	}
}

// TestSlowPeersDoNotKeepOthersOut holds more connections open than there are slots,
// which end when their time is over.
func TestSlowPeersDoNotKeepOthersOut(t *testing.T) {
	t.Parallel()
	b := newMachine(t, "b", fleet.Worker)
	l := newLAN(t, b)
	for range 80 {
		conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", l.server.Listening())
		require.NoError(t, err)
		t.Cleanup(func() { conn.Close() })
	}
	require.Eventually(t, func() bool {
		_, err := l.from(t, b).Cluster(t.Context(), l.a.Member)
		return err == nil
	}, 2*time.Minute, 100*time.Millisecond)
}

func TestAWorkerIsAwayForAWhile(t *testing.T) {
	t.Parallel()
	b, stranger := newMachine(t, "b", fleet.Worker), newMachine(t, "b", fleet.Worker)
	l := newLAN(t, b)
	require.NoError(t, l.from(t, b).Away(t.Context(), l.a.Member, false))
	require.NoError(t, l.from(t, b).Back(t.Context(), l.a.Member))
	require.NoError(t, l.from(t, b).Away(t.Context(), l.a.Member, true))
	require.Error(t, l.from(t, stranger).Away(t.Context(), l.a.Member, false))
	require.Equal(t, []string{"b away, anew false", "b back", "b away, anew true"}, l.local.moved)

	l.local.full = true
	var refused *peers.RefusedError
	require.ErrorAs(t, l.from(t, b).Away(t.Context(), l.a.Member, false), &refused)
	require.Equal(t, "d is away, and maxUnavailable is 1", refused.Reason)
}
