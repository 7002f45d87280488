package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-fleet/holdfast/gitsource/gitsourcetest"
)

// agentProcess is the agent as a host runs it.
type agentProcess struct {
	cmd  *exec.Cmd
	read chan struct{} // closed when its log has ended

	mu  sync.Mutex
	log []logLine
}

type logLine struct {
	Time     time.Time `json:"time"`
	Msg      string    `json:"msg"`
	Revision string    `json:"revision"`
}

func startAgent(tb testing.TB, program string, opts agentOptions) *agentProcess {
	tb.Helper()
	args := []string{"agent", "--anchor", opts.anchor, "--data-dir", opts.dataDir, "--source", opts.sources[0].URL, "--log-format", "json"}
	if opts.interval > 0 {
		args = append(args, "--interval", opts.interval.String())
	}
	a := &agentProcess{cmd: exec.Command(program, args...), read: make(chan struct{})}
	a.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	stderr, err := a.cmd.StderrPipe()
	require.NoError(tb, err)
	require.NoError(tb, a.cmd.Start())
	go func() {
		defer close(a.read)
		for lines := bufio.NewScanner(stderr); lines.Scan(); {
			a.heard(lines.Bytes())
		}
	}()
	return a
}

func (a *agentProcess) heard(line []byte) {
	var l logLine
	if err := json.Unmarshal(line, &l); err != nil {
		l.Msg = string(line)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.log = append(a.log, l)
}

// said returns when the agent logged a message about a revision.
func (a *agentProcess) said(tb testing.TB, message, revision string) time.Time {
	tb.Helper()
	var found time.Time
	require.Eventually(tb, func() bool {
		a.mu.Lock()
		defer a.mu.Unlock()
		for _, l := range a.log {
			if l.Msg == message && l.Revision == revision {
				found = l.Time
			}
		}
		return !found.IsZero()
	}, time.Minute, time.Millisecond, "%s %s", message, revision)
	return found
}

func (a *agentProcess) end(tb testing.TB) {
	tb.Helper()
	require.NoError(tb, a.cmd.Process.Signal(syscall.SIGTERM))
	<-a.read
	require.NoError(tb, a.cmd.Wait())
}

// cpu is the processor time that the agent used so far: fields 14 and 15 of
// /proc/PID/stat, in hundredths of a second, see proc(5).
func (a *agentProcess) cpu(tb testing.TB) time.Duration {
	tb.Helper()
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", a.cmd.Process.Pid))
	require.NoError(tb, err)
	fields := strings.Fields(string(data[strings.LastIndexByte(string(data), ')')+1:]))
	user, err := strconv.Atoi(fields[14-3])
	require.NoError(tb, err)
	system, err := strconv.Atoi(fields[15-3])
	require.NoError(tb, err)
	return time.Duration(user+system) * 10 * time.Millisecond
}

// memory is what /proc/PID/status says of the agent's memory, in megabytes.
func (a *agentProcess) memory(tb testing.TB) map[string]float64 {
	tb.Helper()
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", a.cmd.Process.Pid))
	require.NoError(tb, err)
	sizes := map[string]float64{}
	for line := range strings.Lines(string(data)) {
		if f := strings.Fields(line); len(f) == 3 && f[2] == "kB" {
			kilobytes, err := strconv.ParseFloat(f[1], 64)
			require.NoError(tb, err)
			sizes[strings.TrimSuffix(f[0], ":")] = kilobytes * 1024 / 1e6
		}
	}
	return sizes
}

// gate serves repositories over smart HTTP, notes when it was asked, and can be
// closed while a commit is made.
type gate struct {
	url     string
	backend http.Handler

	mu    sync.Mutex
	first time.Time // request since it was last closed
	count int

	answers sync.Mutex
	given   []answer // since then
}

type answer struct{ began, ended time.Time }

func newGate(tb testing.TB, root string) *gate {
	tb.Helper()
	backend, err := gitsourcetest.Handler(root)
	require.NoError(tb, err)
	g := &gate{backend: backend}
	g.url = gitsourcetest.ServeHandler(tb, g)
	return g
}

// ServeHTTP serves the list of a repository's branches to one at a time, and
// everything else at once.
func (g *gate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if path.Base(r.URL.Path) == "refs" {
		g.mu.Lock()
		defer g.mu.Unlock()
		if g.first.IsZero() {
			g.first = time.Now()
		}
		g.count++
	}
	began := time.Now()
	g.backend.ServeHTTP(w, r)
	g.answers.Lock()
	defer g.answers.Unlock()
	g.given = append(g.given, answer{began, time.Now()})
}

// closed runs f while nobody is served.
func (g *gate) closed(f func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.first = time.Time{}
	g.answers.Lock()
	g.given = nil
	g.answers.Unlock()
	f()
}

func (g *gate) asked() time.Time {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.first
}

// busy is how long it answered, from when it was last closed to some time.
func (g *gate) busy(until time.Time) time.Duration {
	g.answers.Lock()
	defer g.answers.Unlock()
	var busy time.Duration
	for _, a := range g.given {
		if a.ended.Before(until) {
			busy += a.ended.Sub(a.began)
		}
	}
	return busy
}

func (g *gate) polls() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.count
}
