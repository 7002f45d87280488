//go:build e2e

package e2e_test

import (
	"net"
	"net/http"
	"sync"
	"time"
)

// questions are when hosts asked for news, by their addresses.
type questions struct {
	mu sync.Mutex
	at map[string][]time.Time
}

// note passes requests on, and remembers when they came.
func (q *questions) note(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		from, _, _ := net.SplitHostPort(r.RemoteAddr) // a server's request has one
		q.mu.Lock()
		if q.at == nil {
			q.at = map[string][]time.Time{}
		}
		q.at[from] = append(q.at[from], time.Now())
		q.mu.Unlock()
		next.ServeHTTP(w, r)
	})
}

// after is when a host first asked after a moment; zero: it has not.
func (q *questions) after(address string, moment time.Time) time.Time {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, at := range q.at[address] {
		if at.After(moment) {
			return at
		}
	}
	return time.Time{}
}
