package gitsource_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"runtime/debug"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/holdfast-fleet/holdfast/gitsource"
	"github.com/holdfast-fleet/holdfast/trust"
)

// childJob names the environment variable that makes of the test program a host
// that polls once, so that its memory can be told from that of the benchmark.
const childJob = "HOLDFAST_BENCH_CHILD"

func TestMain(m *testing.M) {
	if job := os.Getenv(childJob); job != "" {
		os.Exit(runChild(job))
	}
	flag.Parse()
	if flag.Lookup("test.bench").Value.String() != "" {
		os.Exit(m.Run()) // what is measured is on the disk
	}
	os.Exit(runInMemory(m))
}

// runInMemory keeps what tests write in memory, if there is room: what they write
// is synced thousands of times, and none of them looks at the disk beneath.
func runInMemory(m *testing.M) int {
	const room = 2 << 30 // bytes
	var s unix.Statfs_t
	if err := unix.Statfs("/dev/shm", &s); err != nil || s.Flags&unix.ST_NOEXEC != 0 || s.Bavail*uint64(s.Bsize) < room {
		return m.Run()
	}
	dir, err := os.MkdirTemp("/dev/shm", "gitsource-")
	if err != nil {
		return m.Run()
	}
	defer os.RemoveAll(dir)
	if err := os.Setenv("TMPDIR", dir); err != nil {
		return m.Run()
	}
	return m.Run()
}

// child is a host that polls one source once, and then without news.
type child struct {
	Dir    string
	URL    string            // of the source, or empty
	Mirror bool              // it is a static mirror's
	Stick  string            // folder of bundles, or empty
	Anchor map[string][]byte // files of keys
	Quiet  int               // number of polls without news
}

// childCost is what a poll took.
type childCost struct {
	Commit        string
	Fetch, Verify time.Duration // processor time
	FetchTook     time.Duration
	VerifyTook    time.Duration
	Quiet         time.Duration // processor time of one poll without news
	PeakMB        float64       // of memory: VmHWM of /proc/self/status
}

func (c child) options() (gitsource.Options, error) {
	anchor, err := trust.ParseKeyring(c.Anchor)
	o := gitsource.Options{Dir: c.Dir, Anchor: anchor}
	if c.URL != "" {
		o.Sources = []gitsource.Source{{URL: c.URL, Mirror: c.Mirror}}
	}
	if c.Stick != "" {
		o.BundleDirs = []string{c.Stick}
	}
	return o, err
}

// run polls in a process of its own.
func (c child) run(b *testing.B) childCost {
	b.Helper()
	job, err := json.Marshal(c)
	require.NoError(b, err)
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childJob+"="+string(job))
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	require.NoError(b, err, "%s", &stderr)
	var cost childCost
	require.NoError(b, json.Unmarshal(out, &cost))
	return cost
}

func runChild(job string) int {
	debug.SetMemoryLimit(48 << 20) // as the agent does
	var c child
	err := json.Unmarshal([]byte(job), &c)
	var cost childCost
	if err == nil {
		cost, err = c.poll()
	}
	if err == nil {
		err = json.NewEncoder(os.Stdout).Encode(cost)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func (c child) poll() (cost childCost, err error) {
	o, err := c.options()
	if err != nil {
		return cost, err
	}
	r, err := gitsource.Open(o)
	if err != nil {
		return cost, err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	started, before := time.Now(), cpu()
	if err := r.Fetch(context.Background()); err != nil {
		return cost, err
	}
	cost.FetchTook, cost.Fetch = time.Since(started), cpu()-before
	started, before = time.Now(), cpu()
	rev, err := r.Verify(context.Background())
	if err != nil {
		return cost, err
	}
	cost.Verify, cost.VerifyTook, cost.Commit = cpu()-before, time.Since(started), rev.Commit()
	if cost.PeakMB, err = peak(); err != nil || c.Quiet == 0 {
		return cost, err
	}
	before = cpu()
	for range c.Quiet {
		if err := r.Fetch(context.Background()); err != nil {
			return cost, err
		}
		if _, err := r.Verify(context.Background()); err != nil {
			return cost, err
		}
	}
	cost.Quiet = (cpu() - before) / time.Duration(c.Quiet)
	return cost, nil
}

func peak() (megabytes float64, err error) {
	data, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, err
	}
	for line := range bytes.Lines(data) {
		var kilobytes float64
		if _, err := fmt.Sscanf(string(line), "VmHWM: %f kB", &kilobytes); err == nil {
			return kilobytes * 1024 / 1e6, nil
		}
	}
	return 0, errors.New("/proc/self/status has no VmHWM")
}

// cpu is the processor time that this process used so far.
func cpu() time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		panic(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
