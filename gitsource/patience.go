package gitsource

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"
)

// slowestRate is how many bytes a second keep a transfer going: for each that
// comes it may take that much longer, as with git's http.lowSpeedLimit.
const slowestRate = 1 << 10

// patience ends a poll at its deadline, which what arrives puts off.
type patience struct {
	cancel context.CancelFunc
	end    *time.Timer

	mu sync.Mutex
	by time.Time // when end fires
}

func newPatience(ctx context.Context, deadline time.Duration) (context.Context, *patience) {
	ctx, cancel := context.WithCancel(ctx)
	return ctx, &patience{cancel: cancel, by: time.Now().Add(deadline), end: time.AfterFunc(deadline, cancel)}
}

func (p *patience) stop() {
	p.end.Stop()
	p.cancel()
}

func (p *patience) came(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.by = p.by.Add(time.Duration(n) * time.Second / slowestRate)
	p.end.Reset(time.Until(p.by))
}

// arriving puts the ends of a transfer off whenever something comes.
type arriving struct {
	r        io.Reader
	idle     *time.Timer
	most     time.Duration // between two pieces
	patience *patience
}

func (a *arriving) Read(b []byte) (int, error) {
	n, err := a.r.Read(b)
	if n > 0 {
		a.idle.Reset(a.most)
		a.patience.came(n)
	}
	return n, err
}

// arrived stops the clocks at the end of what is read: what is done with it then
// has limits of its own.
type arrived struct {
	r         io.Reader
	idle, end *time.Timer
}

func (a *arrived) Read(b []byte) (int, error) {
	n, err := a.r.Read(b)
	if errors.Is(err, io.EOF) {
		a.idle.Stop()
		a.end.Stop()
	}
	return n, err
}
