package main

import (
	"net"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestABalancerStaysWithTheServerThatAnswers(t *testing.T) {
	t.Parallel()
	listen := func() (net.Listener, string) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		t.Cleanup(func() { l.Close() })
		return l, l.Addr().String()
	}
	first, one := listen()
	_, other := listen()
	b := &balancer{}
	reached := func() string {
		conn, err := b.dial()
		require.NoError(t, err)
		defer conn.Close()
		return conn.RemoteAddr().String()
	}
	b.lead([]string{one})
	b.lead([]string{other, one})
	require.Equal(t, one, reached(), "the one that it was with")
	first.Close()
	require.Equal(t, other, reached(), "the next")
	b.lead([]string{one, other})
	require.Equal(t, other, reached(), "it stays there")
	b.lead(nil)
	require.Equal(t, other, reached(), "nobody else is known")
}
