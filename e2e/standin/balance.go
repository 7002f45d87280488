package main

import (
	"context"
	"errors"
	"io"
	"net"
	"slices"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// balancer leads to one of several servers: the one that answered last or, when that does not, the next that does.
type balancer struct {
	mu      sync.Mutex
	servers []string
}

// lead makes the servers those that it leads to. It stays with the one that it is with, if that is among them.
func (b *balancer) lead(servers []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(servers) == 0 {
		return
	}
	if len(b.servers) > 0 {
		i := max(0, slices.Index(servers, b.servers[0]))
		servers = slices.Concat(servers[i:], servers[:i])
	}
	b.servers = servers
}

func (b *balancer) dial() (net.Conn, error) {
	b.mu.Lock()
	servers := b.servers
	b.mu.Unlock()
	var errs []error
	for i, server := range servers {
		conn, err := reach(server)
		if err == nil {
			b.mu.Lock()
			b.servers = slices.Concat(servers[i:], servers[:i])
			b.mu.Unlock()
			return conn, nil
		}
		errs = append(errs, err)
	}
	return nil, errors.Join(errs...)
}

// reach connects to an address, for as long as something there answers.
func reach(address string) (net.Conn, error) {
	dialer := net.Dialer{
		Timeout:         2 * time.Second,
		KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 2 * time.Second, Interval: 2 * time.Second, Count: 3},
		Control: func(_, _ string, c syscall.RawConn) (err error) {
			failed := c.Control(func(fd uintptr) {
				err = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, 8000)
			})
			return errors.Join(err, failed)
		},
	}
	return dialer.Dial("tcp", address)
}

// forward hands connections on to where dial leads until ctx ends.
func forward(ctx context.Context, from string, dial func() (net.Conn, error)) error {
	listener, err := net.Listen("tcp", from)
	if err != nil {
		return err
	}
	context.AfterFunc(ctx, func() { listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go handOn(conn, dial)
		}
	}()
	return nil
}

// to is where connections to one address lead.
func to(address string) func() (net.Conn, error) {
	return func() (net.Conn, error) { return net.DialTimeout("tcp", address, 10*time.Second) }
}

func handOn(conn net.Conn, dial func() (net.Conn, error)) {
	defer conn.Close()
	other, err := dial()
	if err != nil {
		return
	}
	defer other.Close()
	go func() {
		_, _ = io.Copy(other, conn) // each ends with its connections
		other.Close()
	}()
	_, _ = io.Copy(conn, other)
}
