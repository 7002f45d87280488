package gitsource

import (
	"context"
	"fmt"
	"io"
	"time"
)

// Progress is how far a step is that takes long.
type Progress struct {
	Step        string // what is done, as in "receiving"
	From        string // URL without credentials, path of a bundle, or empty
	Bytes       bool   // what is counted; else it is objects
	Done, Total int64  // Total is 0 if it is not known
	Took        time.Duration
}

func (p Progress) String() string {
	size := func(n int64) string {
		if !p.Bytes {
			return fmt.Sprintf("%d objects", n)
		}
		return megabytes(n)
	}
	s := p.Step + " " + size(p.Done)
	if p.Total > 0 {
		s += " of " + size(p.Total)
	}
	if seconds := p.Took.Seconds(); p.Bytes && seconds > 0 {
		s += " at " + megabytes(int64(float64(p.Done)/seconds)) + "/s"
	}
	if p.From != "" {
		s += " from " + p.From
	}
	return s
}

func megabytes(n int64) string {
	switch {
	case n >= 10e6:
		return fmt.Sprintf("%d MB", n/1e6)
	case n >= 1e6:
		return fmt.Sprintf("%.1f MB", float64(n)/1e6)
	}
	return fmt.Sprintf("%d kB", n/1e3)
}

// Steps that take longer than this show how far they are, and then so often.
const (
	progressAfter = 2 * time.Second
	progressEvery = time.Second
)

type progressKey struct{}

type progressTo struct {
	report func(Progress)
	after  time.Duration
	from   string
}

// WithProgress makes functions of this package that are given the context report
// steps that take long, once they have taken two seconds and then every second,
// from any goroutine.
func WithProgress(ctx context.Context, report func(Progress)) context.Context {
	return context.WithValue(ctx, progressKey{}, progressTo{report: report, after: progressAfter})
}

// reading names what the steps of a context read.
func reading(ctx context.Context, name string) context.Context {
	to, ok := ctx.Value(progressKey{}).(progressTo)
	if !ok {
		return ctx
	}
	to.from = name
	return context.WithValue(ctx, progressKey{}, to)
}

// meter counts what a step has done. The nil meter counts nothing.
type meter struct {
	report        func(Progress)
	now           Progress
	started, next time.Time
}

func newMeter(ctx context.Context, step string, bytes bool, total int64) *meter {
	to, ok := ctx.Value(progressKey{}).(progressTo)
	if !ok {
		return nil
	}
	started := time.Now()
	return &meter{to.report, Progress{Step: step, From: to.from, Bytes: bytes, Total: total}, started, started.Add(to.after)}
}

func (m *meter) add(n int64) {
	if m == nil {
		return
	}
	m.now.Done += n
	if at := time.Now(); !at.Before(m.next) {
		m.next, m.now.Took = at.Add(progressEvery), at.Sub(m.started)
		m.report(m.now)
	}
}

// meteredReader counts what is read, and ends with its context.
type meteredReader struct {
	ctx   context.Context
	r     io.Reader
	meter *meter
}

func (r *meteredReader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := r.r.Read(p)
	r.meter.add(int64(n))
	return n, err
}

// meteredWriter counts what is written, and ends with its context.
type meteredWriter struct {
	ctx   context.Context
	w     io.Writer
	meter *meter
}

func (w *meteredWriter) Write(p []byte) (int, error) {
	if err := w.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := w.w.Write(p)
	w.meter.add(int64(n))
	return n, err
}
