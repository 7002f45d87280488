// Package preflight says what is wrong with a machine before it becomes a node:
// all of it in one go, each with what can be done. It changes nothing.
package preflight

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"time"

	"golang.org/x/sys/unix"

	"github.com/holdfast-fleet/holdfast/bootstrap/system"
)

// Needs are what the node will want of the machine.
type Needs struct {
	CPUs     int
	Memory   int64 // bytes
	Ports    []Port
	Programs []string
	Room     map[string]int64 // folder → bytes that are about to be written there
	Runtime  string           // socket of a containerd that nothing else may have
	Nftables bool             // of the host, by nft

	Host   string   // name of the node; empty: not known yet
	Others []string // names of the site's other hosts
	Data   string   // the agent's folder
	IsNode bool     // it is one already: what is taken is taken by itself
}

// Port is one that the node will listen on.
type Port struct {
	Number int
	For    string
}

// Check is one thing that was looked at.
type Check struct {
	Name     string    `json:"name"`
	Findings []Finding `json:"findings"` // empty: all is well
}

// Finding is something that is not as it should be.
type Finding struct {
	What    string `json:"what"`
	Hint    string `json:"hint"`
	Warning bool   `json:"warning"` // a node can live with it
}

// Run looks at everything.
func Run(ctx context.Context, needs Needs) []Check { return thisMachine().look(ctx, needs) }

// Refuse makes an error of all findings that are no warnings, or nil.
func Refuse(checks []Check) error {
	var errs []error
	for _, c := range checks {
		for _, f := range c.Findings {
			if !f.Warning {
				errs = append(errs, system.Refuse(f.What, f.Hint))
			}
		}
	}
	return errors.Join(errs...)
}

// machine is what is looked at: this one, but in tests.
type machine struct {
	root         string // of its files
	find         func(program string) error
	run          func(ctx context.Context, what string, args ...string) (string, error) // as root with all of root's powers
	cpus         int
	free         func(path string) (int64, error) // bytes of the file system
	synchronised func() bool
	now          func() time.Time
}

func thisMachine() machine {
	return machine{
		root: "/", cpus: runtime.NumCPU(), free: freeAt, synchronised: clockSynchronised, now: time.Now,
		find: func(program string) error {
			for _, dir := range filepath.SplitList(system.Path) {
				if info, err := os.Stat(filepath.Join(dir, program)); err == nil && info.Mode()&0o111 != 0 {
					return nil
				}
			}
			return exec.ErrNotFound
		},
		run: func(ctx context.Context, what string, args ...string) (string, error) {
			return system.Run(ctx, "holdfast-preflight-"+what, []string{"PATH=" + system.Path}, args...)
		},
	}
}

func (m machine) at(path string) string { return filepath.Join(m.root, path) }

func (m machine) look(ctx context.Context, n Needs) []Check {
	checks := []Check{{"systemd", m.systemd()}}
	hasSystemd := len(checks[0].Findings) == 0
	if !hasSystemd { // it runs what looks closer
		m.run = func(context.Context, string, ...string) (string, error) { return "", exec.ErrNotFound }
	}
	add := func(name string, findings []Finding) { checks = append(checks, Check{name, findings}) }
	add("processors and memory", append(m.processors(n), m.memory(n)...))
	add("disk", m.disk(n))
	add("swap", m.swap())
	add("cgroups", m.cgroups())
	add("kernel", m.kernel(ctx, n, hasSystemd))
	add("programs", m.programs(n))
	if !n.IsNode {
		add("ports", m.ports(ctx, n))
		add("other clusters", m.leftovers(n))
	}
	add("name", m.names(n))
	add("clock", m.clock(n))
	return checks
}

// freeAt is what root can write to the file system that a folder is on, or will be.
func freeAt(path string) (int64, error) {
	var fs unix.Statfs_t
	err := unix.Statfs(path, &fs)
	if errors.Is(err, unix.ENOENT) && path != "/" {
		return freeAt(filepath.Dir(path))
	}
	return int64(fs.Bavail) * fs.Bsize, err
}

// clockSynchronised is true while something such as an NTP client disciplines the
// clock, see adjtimex(2).
func clockSynchronised() bool {
	var t unix.Timex
	state, err := unix.Adjtimex(&t)
	return err == nil && state != unix.TIME_ERROR && t.Status&unix.STA_UNSYNC == 0
}
