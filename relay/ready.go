package relay

import (
	"cmp"
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"time"
)

const (
	lookEvery    = 3 * time.Second
	unreadyAfter = 2 // looks in a row
)

var asking = &http.Client{Transport: &http.Transport{
	// Who is led to the server looks at its certificate; here it is only asked how it is.
	TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, //nolint:gosec // see above
}}

// Readyz asks an API server whether it is ready, as anybody may, see
// https://kubernetes.io/docs/reference/using-api/health-checks. One that is up but
// has lost its etcd is not.
func Readyz(ctx context.Context, server netip.AddrPort) bool {
	ctx, cancel := context.WithTimeout(ctx, dialTime)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+server.String()+"/readyz", nil)
	if err != nil {
		return false
	}
	answer, err := asking.Do(request)
	if err != nil {
		return false
	}
	defer answer.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(answer.Body, maxFile)) // so that the connection is used again
	return answer.StatusCode < http.StatusInternalServerError
}

// readiness is how servers were when they were last looked at, and what is carried to each.
type readiness struct {
	mu      sync.Mutex
	failed  map[netip.AddrPort]int // looks in a row
	carried map[netip.AddrPort]map[net.Conn]bool
}

// watch looks at all servers until ctx ends.
func (r *Relay) watch(ctx context.Context) {
	tick := time.NewTicker(cmp.Or(r.every, lookEvery))
	defer tick.Stop()
	for {
		if servers, err := readServers(r.Servers); err == nil && len(servers) > 1 {
			r.look(ctx, servers)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// look ends what is carried to servers that are not ready while others are, so that
// clients go to those.
func (r *Relay) look(ctx context.Context, servers []netip.AddrPort) {
	ready := make([]bool, len(servers))
	var all sync.WaitGroup
	for i, server := range servers {
		all.Go(func() { ready[i] = r.Ready(ctx, server) })
	}
	all.Wait()
	r.is.mu.Lock()
	defer r.is.mu.Unlock()
	failed := make(map[netip.AddrPort]int)
	for i, server := range servers {
		if !ready[i] {
			failed[server] = r.is.failed[server] + 1
		}
	}
	r.is.failed = failed
	if !slices.Contains(ready, true) {
		return
	}
	for server, conns := range r.is.carried {
		if failed[server] < unreadyAfter {
			continue
		}
		for conn := range conns {
			conn.Close()
		}
	}
}

// order puts servers that are ready before those that are not.
func (s *readiness) order(servers []netip.AddrPort) {
	s.mu.Lock()
	defer s.mu.Unlock()
	slices.SortStableFunc(servers, func(a, b netip.AddrPort) int {
		return min(s.failed[a], unreadyAfter) - min(s.failed[b], unreadyAfter)
	})
}

// carry notes a connection until the function that it returns is called.
func (s *readiness) carry(server netip.AddrPort, conn net.Conn) func() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.carried == nil {
		s.carried = make(map[netip.AddrPort]map[net.Conn]bool)
	}
	if s.carried[server] == nil {
		s.carried[server] = make(map[net.Conn]bool)
	}
	s.carried[server][conn] = true
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.carried[server], conn)
		if len(s.carried[server]) == 0 {
			delete(s.carried, server)
		}
	}
}
