package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/holdfast-fleet/holdfast/bootstrap/embedded"
	"github.com/holdfast-fleet/holdfast/reconciler/kube"
	"github.com/holdfast-fleet/holdfast/review"
)

// serverOptions are those of "diff --server".
type serverOptions struct {
	wanted   bool
	programs string
	limit    int
	progress func(text string) // nil: nobody looks
}

// refusals is how many objects an API server refuses at head.
type refusals int

func (n refusals) Error() string {
	return fmt.Sprintf("the API server refuses %d of the objects that hosts would apply", int(n))
}

const serverStart = 2 * time.Minute // two cores may be busy otherwise

func addServer(cmd *cobra.Command, into *serverOptions) {
	cmd.Flags().BoolVar(&into.wanted, "server", false, "try the change on a real API server of its own")
	cmd.Flags().StringVar(&into.programs, "server-programs", "", "folder of the server's programs (default: embedded beside holdfast, or in the user's cache)")
	cmd.Flags().IntVar(&into.limit, "server-limit", 10, "how many different renderings are tried at most")
	_ = cmd.MarkFlagDirname("server-programs")
}

func (o *serverOptions) check(cmd *cobra.Command) error {
	for _, name := range []string{"server-programs", "server-limit"} {
		if cmd.Flags().Changed(name) && !o.wanted {
			return usagef("--%s is for --server", name)
		}
	}
	if o.limit < 1 {
		return usagef("--server-limit must be at least 1, not %d", o.limit)
	}
	return nil
}

// try lets API servers say what they make of the changes.
func (o *serverOptions) try(ctx context.Context, c *review.Changes, t review.Trial) error {
	bin, err := serverPrograms(o.programs)
	if err != nil {
		return err
	}
	t.Limit = o.limit
	t.Start = func(ctx context.Context) (review.Server, error) { return startServer(ctx, bin) }
	if o.progress != nil {
		defer o.progress("")
		t.Progress = func(n, all int, site string) {
			o.progress(fmt.Sprintf("trying rendering %d of %d on an API server: site %s", n, all, site))
		}
	}
	return t.Run(ctx, c)
}

// serverPrograms finds the programs of the embedded distribution. The fleet is
// no place for them: what a pull request brings is not run.
func serverPrograms(dir string) (string, error) {
	places := []string{dir}
	if dir == "" {
		places = nil
		if self, err := os.Executable(); err == nil {
			places = append(places, filepath.Join(filepath.Dir(self), "embedded"))
		}
		if cache, err := os.UserCacheDir(); err == nil {
			places = append(places, filepath.Join(cache, "holdfast", "embedded"))
		}
	}
	for _, place := range places {
		full, err := filepath.Abs(place)
		if err != nil {
			return "", err
		}
		if isProgram(full, "kube") && isProgram(full, "node") {
			return full, nil
		}
	}
	return "", &tipError{fmt.Errorf("no API server to try the change on: neither kube nor node in %s", strings.Join(places, " or ")),
		"build them with make embedded, and name their folder with --server-programs"}
}

func isProgram(dir, name string) bool {
	info, err := os.Stat(filepath.Join(dir, name))
	return err == nil && info.Mode().IsRegular() && info.Mode().Perm()&0o111 != 0
}

// startServer runs a control plane in a temporary folder. A keeper ends it and
// removes the folder, also if this process is killed.
func startServer(ctx context.Context, bin string) (_ review.Server, err error) {
	dir, err := os.MkdirTemp("", "holdfast-server-")
	if err != nil {
		return nil, err
	}
	stop, err := keep(dir)
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, stop())
		}
	}()
	ctx, cancel := context.WithTimeout(ctx, serverStart)
	defer cancel()
	kubeconfig, err := embedded.Ensure(ctx, embedded.Config{Dir: dir, Bin: bin, Host: "review", Trial: true, Lifeline: true})
	if err != nil {
		return nil, err
	}
	cluster, err := kube.Connect(kubeconfig, nil)
	if err != nil {
		return nil, err
	}
	return kube.NewTrial(cluster, stop), nil
}

// keeperName is the command that keeps a server, for holdfast itself.
const keeperName = "server-keeper"

// keep starts a process that discards the server in dir when this one stops it, or ends.
func keep(dir string) (stop func() error, err error) {
	cmd := self(keeperName, dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // Ctrl-C is not for it
	var said strings.Builder
	cmd.Stderr = &said
	line, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start the keeper of %s: %w", dir, err)
	}
	return func() error {
		line.Close()
		if err := cmd.Wait(); err != nil {
			return fmt.Errorf("remove %s: %w: %s", dir, err, strings.TrimSpace(said.String()))
		}
		return nil
	}, nil
}

func newServerKeeperCmd() *cobra.Command {
	return &cobra.Command{
		Use: keeperName + " DIR", Short: "End the server in DIR when standard input ends", Hidden: true, Args: oneArgument,
		RunE: func(cmd *cobra.Command, args []string) error {
			_, _ = io.Copy(io.Discard, cmd.InOrStdin()) // an end is an end
			ctx, cancel := context.WithTimeout(context.WithoutCancel(cmd.Context()), time.Minute)
			defer cancel()
			return embedded.Discard(ctx, args[0])
		},
	}
}
