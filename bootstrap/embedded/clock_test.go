package embedded_test

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-fleet/holdfast/bootstrap/embedded"
)

// TestAClockOf1970AndOf2040 has the agent take the time for another while it makes a
// cluster, and again while that runs. The cluster's own programs go by the machine's
// clock throughout: what they do by one that is wrong is not tested here.
func TestAClockOf1970AndOf2040(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	at := func(year int) func() time.Time {
		return func() time.Time { return time.Date(year, 11, 26, 8, 0, 0, 0, time.UTC) }
	}

	// A board without a battery makes its cluster: to everybody else its certificates are over.
	c.cfg.Now = at(1970)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		_, err := embedded.Ensure(ctx, c.cfg)
		ended <- err
	}()
	c.pid("etcd") // no other gets as far
	cancel()
	require.ErrorIs(t, <-ended, context.Canceled)
	require.Equal(t, 1971, c.end("apiserver").Year())
	require.Equal(t, 1980, c.end("ca").Year())

	// Once its clock is right, it is a cluster like any other.
	c.cfg.Now = nil
	c.ensure()
	require.WithinDuration(t, time.Now().Add(365*24*time.Hour), c.end("apiserver"), time.Hour)
	c.kubectl("create", "configmap", "kept", "--from-literal=a=b")

	// 1970 comes back with a power cut. What was made since is good enough, and nothing restarts.
	api := c.pid("kube-apiserver")
	c.cfg.Now = at(1970)
	c.ensure()
	require.Equal(t, api, c.pid("kube-apiserver"))

	// In 2040 all certificates seem to be over: others are made, which count today, too.
	c.cfg.Now = at(2040)
	c.ensure()
	require.Equal(t, 2041, c.end("apiserver").Year())
	require.NotEqual(t, api, c.pid("kube-apiserver"))
	c.kubectl("get", "configmap", "kept")

	// Back in the present they stay, however often the agent looks.
	api = c.pid("kube-apiserver")
	c.cfg.Now = nil
	c.ensure()
	c.ensure()
	require.Equal(t, api, c.pid("kube-apiserver"))
	require.Equal(t, 2041, c.end("apiserver").Year())
	c.kubectl("get", "configmap", "kept")
}

// end is that of a certificate's life.
func (c *cluster) end(name string) time.Time {
	c.t.Helper()
	data, err := os.ReadFile(filepath.Join(c.cfg.Dir, "pki", name+".pem"))
	require.NoError(c.t, err)
	block, _ := pem.Decode(data)
	require.NotNil(c.t, block)
	cert, err := x509.ParseCertificate(block.Bytes)
	require.NoError(c.t, err)
	return cert.NotAfter
}
