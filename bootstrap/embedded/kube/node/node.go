// Command node keeps the processes of a Kubernetes node running. It is apart
// from kube because that program is a hundred megabytes in memory before it
// does anything.
//
//	node run --config FILE     run them until SIGTERM
//	node unplug --bridge NAME  remove what a node leaves in the network
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// node keeps the processes of one configuration running:
//
//	start ──▶ process 1 ──ready──▶ process 2 ──ready──▶ … (a crash restarts that one, with back-off)
//	SIGHUP   reads the configuration again; what changed stops, then what is missing starts, in order
//	         and run/applied gets the digest of the configuration that runs
//	SIGTERM  stops all, last started first
//
// A node that is killed takes its processes with it; pods live on, and the next node finds them.
type node struct {
	dir     string
	log     *slog.Logger
	running []*running // in start order
}

func main() {
	commands := map[string]func([]string) error{"run": run, "unplug": unplug}
	if len(os.Args) < 2 || commands[os.Args[1]] == nil {
		fmt.Fprintln(os.Stderr, "node: say run or unplug")
		os.Exit(2)
	}
	if err := commands[os.Args[1]](os.Args[2:]); err != nil {
		fmt.Fprintln(os.Stderr, "node: "+err.Error())
		os.Exit(1)
	}
}

// run is the command run: a node until SIGTERM.
func run(args []string) error {
	flags := flag.NewFlagSet("run", flag.ExitOnError)
	path := flags.String("config", "", "what to run (JSON)")
	lifeline := flags.Bool("lifeline", false, "end when standard input does")
	if err := flags.Parse(args); err != nil {
		return err
	}
	cfg, err := readConfig(*path)
	if err != nil {
		return err
	}
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)
	if *lifeline {
		go func() {
			_, _ = io.Copy(io.Discard, os.Stdin)
			signals <- syscall.SIGTERM
		}()
	}
	for _, dir := range []string{"log", "run"} {
		if err := os.MkdirAll(filepath.Join(cfg.Dir, dir), 0o700); err != nil {
			return err
		}
	}
	lock, err := lockNode(filepath.Join(cfg.Dir, "run", "node.lock"))
	if err != nil {
		return err
	}
	defer lock.Close()
	out, err := openLog(filepath.Join(cfg.Dir, "log", "node.log"))
	if err != nil {
		return err
	}
	defer out.Close()
	n := &node{dir: cfg.Dir, log: slog.New(slog.NewTextHandler(out.pipe, nil))}
	if err := n.prepare(cfg); err != nil {
		return err
	}
	return n.serve(*path, cfg, signals)
}

// lockNode takes the lock that lets one node run in a directory. It is a POSIX
// lock: whoever asks who holds it learns the process id, in their own namespace.
func lockNode(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	err = unix.FcntlFlock(f.Fd(), unix.F_SETLK, &unix.Flock_t{Type: unix.F_WRLCK, Whence: io.SeekStart})
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("lock %s: another node runs in this directory: %w", path, err)
	}
	if err := f.Truncate(0); err == nil {
		_, err = f.WriteString(strconv.Itoa(os.Getpid()) + "\n")
	}
	return f, err
}

// prepare gives the node its cgroup and its network.
func (n *node) prepare(cfg nodeConfig) error {
	if err := os.Remove(n.applied()); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if cfg.Cgroup != "" {
		if err := enterCgroup(cfg.Cgroup); err != nil {
			return err
		}
	}
	if cfg.Network != nil {
		return cfg.Network.plug()
	}
	return nil
}

func (n *node) serve(path string, cfg nodeConfig, signals <-chan os.Signal) error {
	for {
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan struct{})
		go func() { n.apply(ctx, cfg); close(done) }()
		sig := <-signals
		cancel()
		<-done
		if sig != syscall.SIGHUP {
			n.log.Info("stopping", "signal", sig.String())
			n.stop(n.running)
			return nil
		}
		next, err := readConfig(path)
		if err != nil {
			n.log.Error("configuration refused, the old one stays", "error", err)
			continue
		}
		cfg = next
	}
}

// apply stops what cfg does not have, or has otherwise, then starts what is
// missing, each when the one before it is ready. It ends early with ctx.
func (n *node) apply(ctx context.Context, cfg nodeConfig) {
	wanted := map[string]process{}
	for _, p := range cfg.Processes {
		wanted[p.Name] = p
	}
	var stale, kept []*running
	for _, r := range n.running {
		if p, ok := wanted[r.Name]; ok && reflect.DeepEqual(p, r.process) {
			kept = append(kept, r)
		} else {
			stale = append(stale, r)
		}
	}
	n.stop(stale)
	n.running = kept
	for _, p := range cfg.Processes {
		i := slices.IndexFunc(n.running, func(r *running) bool { return r.Name == p.Name })
		if i < 0 {
			r, err := start(n.dir, p, n.log)
			if err != nil {
				n.log.Error("start", "process", p.Name, "error", err)
				return
			}
			n.running = append(n.running, r)
		}
		if err := p.Ready.wait(ctx); err != nil {
			return
		}
	}
	if err := os.WriteFile(n.applied(), []byte(cfg.digest), 0o600); err != nil {
		n.log.Error("record what runs", "error", err)
	}
	n.log.Info("all processes run", "count", len(n.running))
}

func (n *node) applied() string { return filepath.Join(n.dir, "run", "applied") }

func (n *node) stop(list []*running) {
	for _, r := range slices.Backward(list) {
		n.log.Info("stopping", "process", r.Name)
		r.stop()
	}
}
