//go:build e2e

package testhost_test

import (
	"context"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-fleet/holdfast/e2e/testhost"
)

func TestTwoHostsBootAndTalk(t *testing.T) {
	if !testhost.Inside(t, "../../build/hosts") {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	lan, err := testhost.NewLAN("a", "b")
	require.NoError(t, err)
	before, err := net.InterfaceByName("lan")
	require.NoError(t, err)
	began := time.Now()
	var hosts []*testhost.Host
	for _, name := range []string{"a", "b"} {
		h, err := lan.Host(name)
		require.NoError(t, err)
		require.NoError(t, h.Boot(ctx))
		t.Logf("%s is up after %v", name, time.Since(began))
		hosts = append(hosts, h)
	}
	after, err := net.InterfaceByName("lan")
	require.NoError(t, err)
	require.Equal(t, before.HardwareAddr, after.HardwareAddr, "or a looks for the test for half a minute once b is plugged in")
	_, err = hosts[0].Run(ctx, "sh", "-c", "echo kept >/root/file; sync")
	require.NoError(t, err)
	out, err := hosts[1].Run(ctx, "hostname")
	require.NoError(t, err)
	require.Equal(t, "b\n", out)
	_, err = hosts[1].Run(ctx, "curl", "-s", "http://a:9/")
	require.ErrorContains(t, err, "exit status 7", "a is found and refuses: nothing listens there")
	_, err = hosts[1].Run(ctx, "curl", "-s", "http://nowhere.example/")
	require.ErrorContains(t, err, "exit status 6", "that name means nothing")
	require.NoError(t, lan.Cut("a"))
	_, err = hosts[1].Run(ctx, "curl", "-s", "--max-time", "1", "http://a:9/")
	require.ErrorContains(t, err, "exit status 28", "a does not answer any more")
	require.NoError(t, lan.Mend("a"))
	_, err = hosts[0].Run(ctx, "sh", "-c", "echo lost >/root/lost")
	require.NoError(t, err)
	_, err = hosts[0].Run(ctx, "sh", "-c", "nft add table ip rules && ip link add cni0 type bridge")
	require.NoError(t, err)
	require.NoError(t, hosts[0].PowerOff())
	_, err = hosts[0].Run(ctx, "true")
	require.ErrorContains(t, err, "host a is off")
	require.NoError(t, hosts[0].Boot(ctx))
	out, err = hosts[0].Run(ctx, "cat", "/root/file")
	require.NoError(t, err)
	require.Equal(t, "kept\n", out)
	_, err = hosts[0].Run(ctx, "grep", "lost", "/root/lost")
	require.Error(t, err, "it was not synced")
	out, err = hosts[0].Run(ctx, "sh", "-c", "nft list ruleset; ip -oneline link show type bridge")
	require.NoError(t, err)
	require.Empty(t, out, "its kernel is another one")
	out, err = hosts[1].Run(ctx, "curl", "-s", "http://a:9/")
	require.ErrorContains(t, err, "exit status 7", "its cable is plugged in still: %s", out)
}
