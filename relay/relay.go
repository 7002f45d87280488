// Package relay carries connections to whichever of several servers takes them.
//
// It is how a worker's node finds its cluster's API without a balancer outside
// the site: it listens on loopback, and servers are those of the control plane.
package relay

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	maxConnections = 1024
	maxFile        = 64 << 10        // bytes
	dialTime       = 2 * time.Second // of one server, which is on the same LAN
	deadAfter      = 10 * time.Second
)

// Relay listens for as long as its Run does.
type Relay struct {
	Listener net.Listener
	Servers  string                                     // file with an address:port a line; it is read for each connection, so that it may change
	Ready    func(context.Context, netip.AddrPort) bool // whether a server is; nil is that each is
	Log      *slog.Logger

	next  atomic.Uint32 // server to try first
	is    readiness
	every time.Duration // between looks; 0 is lookEvery
}

// Run carries connections until ctx ends.
func (r *Relay) Run(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() { r.Listener.Close() })
	defer stop()
	var all sync.WaitGroup
	defer all.Wait()
	if r.Ready != nil {
		all.Go(func() { r.watch(ctx) })
	}
	slots := make(chan struct{}, maxConnections)
	for {
		conn, err := r.Listener.Accept()
		if ctx.Err() != nil {
			return nil
		}
		if errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) || errors.Is(err, syscall.ECONNABORTED) {
			continue
		}
		if err != nil {
			return err
		}
		select {
		case slots <- struct{}{}:
			all.Go(func() {
				defer func() { <-slots }()
				if err := r.carry(ctx, conn); err != nil {
					r.Log.Warn("connection not carried", "error", err)
				}
			})
		default:
			conn.Close() // the client tries again
		}
	}
}

// carry takes one connection to a server, and what is sent both ways.
func (r *Relay) carry(ctx context.Context, client net.Conn) error {
	defer client.Close()
	server, at, err := r.dial(ctx)
	if err != nil {
		return err
	}
	defer server.Close()
	defer r.is.carry(at, server)()
	stop := context.AfterFunc(ctx, func() { client.Close(); server.Close() })
	defer stop()
	var both sync.WaitGroup
	for _, way := range [][2]net.Conn{{client, server}, {server, client}} {
		both.Go(func() {
			_, err := io.Copy(way[1], way[0])
			if tcp, ok := way[1].(*net.TCPConn); err == nil && ok {
				_ = tcp.CloseWrite() // the other way may go on
				return
			}
			client.Close()
			server.Close()
		})
	}
	both.Wait()
	return nil
}

// dial connects to a server that takes it: each in its turn first, of those that are ready.
func (r *Relay) dial(ctx context.Context) (net.Conn, netip.AddrPort, error) {
	servers, err := readServers(r.Servers)
	if err != nil {
		return nil, netip.AddrPort{}, err
	}
	first := int(r.next.Add(1) % uint32(len(servers)))
	servers = slices.Concat(servers[first:], servers[:first])
	r.is.order(servers)
	dialer := net.Dialer{Timeout: dialTime, Control: mortal, KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: deadAfter / 2, Interval: deadAfter / 4, Count: 2}}
	var errs []error
	for _, server := range servers {
		conn, err := dialer.DialContext(ctx, "tcp", server.String())
		if err == nil {
			return conn, server, nil
		}
		errs = append(errs, err)
	}
	return nil, netip.AddrPort{}, errors.Join(errs...)
}

// mortal ends connections to servers that acknowledge nothing any more, so that
// clients, who only see the relay, go to another: see TCP_USER_TIMEOUT in tcp(7).
func mortal(_, _ string, raw syscall.RawConn) error {
	var failed error
	err := raw.Control(func(fd uintptr) {
		failed = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(deadAfter.Milliseconds()))
	})
	return errors.Join(err, failed)
}

func readServers(file string) ([]netip.AddrPort, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFile))
	if err != nil {
		return nil, err
	}
	return parseServers(string(data))
}

func parseServers(text string) ([]netip.AddrPort, error) {
	var servers []netip.AddrPort
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		server, err := netip.ParseAddrPort(line)
		if err != nil {
			return nil, fmt.Errorf("%q is not an address with a port", line)
		}
		servers = append(servers, server)
	}
	if len(servers) == 0 {
		return nil, errors.New("no server is listed")
	}
	return servers, nil
}
