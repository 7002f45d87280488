package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/holdfast-fleet/holdfast/bootstrap"
	"github.com/holdfast-fleet/holdfast/durable"
	"github.com/holdfast-fleet/holdfast/fleet"
	"github.com/holdfast-fleet/holdfast/reconciler"
)

// kept are the entries of the data folder that a reset leaves: what any
// registration of this machine would need again, and backups, which may be all that
// is left of a cluster.
var kept = map[string]bool{"content": true, "agent": true, "agent.lock": true, "backups": true, "clock-accepted": true}

func newResetCmd() *cobra.Command {
	var name, dataDir string
	cmd := &cobra.Command{
		Use:   "reset",
		Short: "Take this host out of its cluster and make it unregistered",
		Long: `Take this host out of its cluster, data included, and make it unregistered: its
key is removed, so that the fleet does not know the machine any more. Content,
backups and the agent's programs stay.

It asks for the host's name, and the agent must be stopped.`,
		Example: `  systemctl stop holdfast && holdfast reset
  holdfast reset --name store-042-a   # does not ask`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runReset(cmd, dataDir, name)
		},
	}
	cmd.Flags().StringVar(&name, "name", "", "the host's name, instead of asking for it")
	addDataDir(cmd, &dataDir)
	return cmd
}

func runReset(cmd *cobra.Command, dataDir, name string) error {
	unlock, err := reconciler.Lock(dataDir)
	switch {
	case errors.Is(err, reconciler.ErrRunning):
		return &tipError{fmt.Errorf("an agent runs with data in %s", dataDir), "stop it first: systemctl stop holdfast"}
	case errors.Is(err, fs.ErrNotExist):
		return &tipError{fmt.Errorf("no agent has run with data in %s", dataDir), "say where its data is with --data-dir"}
	case err != nil:
		return err
	}
	defer unlock()
	want := nameOf(dataDir)
	if name == "" {
		if name, err = askName(cmd, want); err != nil {
			return err
		}
	}
	if name != want {
		return &tipError{fmt.Errorf("this host is %s, not %s", want, name), "nothing was changed"}
	}
	if err := resetHost(cmd.Context(), dataDir); err != nil {
		return err
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s is reset: it has a new key when its agent is started, and waits to be registered.\n", name)
	return err
}

// nameOf is the name that the host was registered under, or else the machine's.
func nameOf(dataDir string) string {
	if st, err := reconciler.ReadStatus(dataDir); err == nil && st.Host != "" {
		return st.Host
	}
	name, _ := os.Hostname()
	return name
}

func askName(cmd *cobra.Command, want string) (string, error) {
	in, ok := cmd.InOrStdin().(*os.File)
	if !ok || !term.IsTerminal(int(in.Fd())) {
		return "", &tipError{errors.New("nobody is there to be asked for the host's name"), "give it as --name " + want}
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "This removes the cluster of %s with all its data. Its name, to go on: ", want)
	line, err := bufio.NewReader(in).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return "", err
	}
	return strings.TrimSpace(line), nil
}

// resetHost takes the node apart, then removes what made it this host; the
// status, which knows the name, last.
func resetHost(ctx context.Context, dataDir string) error {
	for _, kind := range fleet.DistributionTypes {
		dir := filepath.Join(dataDir, kind)
		if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
			continue
		}
		driver, err := bootstrap.For(kind)
		if err != nil {
			return err
		}
		if err := driver.Reset(ctx, dir); err != nil {
			return fmt.Errorf("take %s apart: %w", kind, err)
		}
	}
	entries, err := os.ReadDir(dataDir)
	if err != nil {
		return err
	}
	const last = "status.json"
	for _, e := range entries {
		if kept[e.Name()] || e.Name() == last {
			continue
		}
		if err := os.RemoveAll(filepath.Join(dataDir, e.Name())); err != nil {
			return err
		}
	}
	if err := os.RemoveAll(filepath.Join(dataDir, last)); err != nil {
		return err
	}
	return durable.SyncDir(dataDir)
}
