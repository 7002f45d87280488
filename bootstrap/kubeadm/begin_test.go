package kubeadm

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/holdfast-fleet/holdfast/bootstrap/site"
	"github.com/holdfast-fleet/holdfast/fleet"
	"github.com/holdfast-fleet/holdfast/peers"
)

// TestAClusterThatWasBegunIsTheFirstHostsAlone: who began one and is no longer the first lets go of
// it, or each would wait for the other.
func TestAClusterThatWasBegunIsTheFirstHostsAlone(t *testing.T) {
	t.Parallel()
	n := testNode(t)
	n.Members = []peers.Member{{Name: "a", Role: fleet.Worker}, {Name: "b", Role: fleet.ControlPlane}, {Name: "c", Role: fleet.ControlPlane}}
	for host, letsGo := range map[string]bool{"a": true, "b": false, "c": true} {
		n.Host = host
		require.Equal(t, letsGo, n.isNoLongerFirst(record{Step: stepInit}), host)
		require.False(t, n.isNoLongerFirst(record{Step: stepJoin}), "the next attempt removes what is left of this one")
		require.False(t, n.isNoLongerFirst(record{Step: stepReady}), "a cluster that was ready is never taken apart")
		require.False(t, n.isNoLongerFirst(record{}))
	}
	n.Host, n.From = "c", "a backup"
	require.False(t, n.isNoLongerFirst(record{Step: stepInit}), "people said where it is made again")
	n.Host, n.From, n.Members = "a", "", []peers.Member{{Name: "a", Role: fleet.ControlPlane}}
	require.False(t, n.isNoLongerFirst(record{Step: stepInit}))
}

// TestImagesComeMeanwhile: a join that waits for others does not undo their import, which
// takes a join along that cannot be without them.
func TestImagesComeMeanwhile(t *testing.T) {
	t.Parallel()
	full, waits := errors.New("disk full"), errors.New("the first host has no cluster yet")
	cutOff := func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }

	err := meanwhile(t.Context(), func(context.Context) error { return full }, cutOff)
	require.ErrorIs(t, err, full)
	require.NotErrorIs(t, err, context.Canceled, "it is not for a newer revision that it stopped")

	began, imported := make(chan struct{}), false
	err = meanwhile(t.Context(), func(ctx context.Context) error {
		<-began
		imported = ctx.Err() == nil
		return nil
	}, func(context.Context) error { defer close(began); return waits })
	require.ErrorIs(t, err, waits)
	require.True(t, imported)

	ctx, newer := context.WithCancel(t.Context())
	newer()
	err = meanwhile(ctx, func(context.Context) error { return errors.New("ctr: signal: killed") }, func(context.Context) error { return nil })
	require.ErrorIs(t, err, context.Canceled)
}

// TestTheKubeletIsHeld runs what its unit runs before it.
func TestTheKubeletIsHeld(t *testing.T) {
	t.Parallel()
	lock := filepath.Join(t.TempDir(), "kubelet.lock")
	_, order, _ := strings.Cut(heldBy(lock), "ExecStartPre=-flock ")
	start := func() *exec.Cmd { return exec.Command("flock", strings.Fields(order)...) }
	require.NoError(t, start().Run(), "nobody holds it")
	held, err := os.OpenFile(lock, os.O_RDWR, 0)
	require.NoError(t, err)
	require.NoError(t, unix.Flock(int(held.Fd()), unix.LOCK_EX))
	waits := start()
	require.NoError(t, waits.Start())
	require.Error(t, exec.Command("flock", "--shared", "--nonblock", lock, "true").Run(), "it is held")
	require.NoError(t, held.Close())
	require.NoError(t, waits.Wait(), "it is let start")
}

func TestAHostThatHasDoneNothingKnowsOfNoCluster(t *testing.T) {
	t.Parallel()
	l := &Local{Dir: t.TempDir()}
	known, err := l.Cluster(context.Background())
	require.NoError(t, err)
	require.Equal(t, peers.Cluster{}, known)
	_, err = l.Give(context.Background(), peers.Member{Name: "b", Role: fleet.Worker})
	require.ErrorIs(t, err, site.ErrNotReady)

	n := newNode(Config{Dir: l.Dir})
	for _, rec := range []record{{Step: stepInit}, {Step: stepJoin}, {Step: stepReady, Worker: true}} {
		require.NoError(t, n.writeRecord(rec))
		known, err = l.Cluster(context.Background())
		require.NoError(t, err)
		require.Equal(t, peers.Cluster{Known: true}, known, "%+v", rec)
		_, err = l.Give(context.Background(), peers.Member{Name: "b", Role: fleet.Worker})
		require.ErrorIs(t, err, site.ErrNotReady)
	}
}

func TestRoutesAreToAddressesAlone(t *testing.T) {
	t.Parallel()
	own, routes := routesOf("a", []peers.Node{
		{Name: "a", Address: "10.0.0.11", Pods: "10.244.0.0/24"},
		{Name: "b", Address: "10.0.0.12", Pods: "10.244.1.0/24"},
		{Name: "c", Address: "10.0.0.13\nlink delete eth0", Pods: "10.244.2.0/24"},
		{Name: "d", Address: "10.0.0.14", Pods: "10.244.3.0/24 via 10.0.0.1"},
		{Name: "e", Address: "10.0.0.15"},
	})
	require.Equal(t, "10.244.0.0/24", own)
	require.Equal(t, map[string]string{"10.244.1.0/24": "10.0.0.12"}, routes)
}

// oneVersion is a site whose cluster is of one.
type oneVersion struct{ version string }

func (s oneVersion) Cluster(context.Context, peers.Member) (peers.Cluster, error) {
	return peers.Cluster{Known: true, Gives: true, Version: s.version}, nil
}
func (oneVersion) Join(context.Context, peers.Member) (peers.Material, error) { return nil, nil }
func (oneVersion) Away(context.Context, peers.Member, bool) error             { return nil }
func (oneVersion) Back(context.Context, peers.Member) error                   { return nil }
func (oneVersion) Leave(context.Context, peers.Member, string) error          { return nil }
