package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/holdfast-fleet/holdfast/backup"
	"github.com/holdfast-fleet/holdfast/reconciler"
	"github.com/holdfast-fleet/holdfast/reconciler/kube"
)

type statusOptions struct {
	dataDir string
	output  string
	objects bool
	watch   bool
}

func newStatusCmd() *cobra.Command {
	var opts statusOptions
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show what this host runs and why",
		Long: `Show what this host runs and why: the revision accepted and the one confirmed,
who signed them, every layer with the objects that are not well, what failed, what
is held, paused or put back, and what the agent does next.

It reads a file that the agent keeps, so it works when agent and cluster are down,
and then says so. With --watch it stays, and shows each change: on a terminal as a
page, elsewhere as a line.

Exit codes: 0 healthy; 1 it cannot be said; 2 the command line makes no sense; 3 the
agent is at work; 4 something fails, or is an alarm; 5 no agent runs.`,
		Example: `  holdfast status
  holdfast status --watch
  holdfast status -o json | jq -r .confirmed.revision`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if opts.watch {
				return watchStatus(cmd.Context(), cmd.OutOrStdout(), opts)
			}
			return runStatus(cmd.Context(), cmd.OutOrStdout(), opts)
		},
	}
	addDataDir(cmd, &opts.dataDir)
	addOutput(cmd, &opts.output)
	cmd.Flags().BoolVar(&opts.objects, "objects", false, "list all objects, not only those that are not well")
	cmd.Flags().BoolVarP(&opts.watch, "watch", "w", false, "stay, and show what changes")
	return cmd
}

// hostStatus is what the agent wrote, and how things are at the moment.
type hostStatus struct {
	reconciler.Status
	Now     momentary                      `json:"now"`
	Backup  *backup.State                  `json:"backup,omitempty"`
	Objects map[string][]reconciler.Object `json:"objects,omitempty"` // by layer, if asked for
}

// momentary is what the file cannot say.
type momentary struct {
	At        time.Time            `json:"at"`
	Condition reconciler.Condition `json:"condition"`         // healthy, working, failing; or stopped: no agent runs
	Running   bool                 `json:"running"`           // the agent
	Cluster   string               `json:"cluster,omitempty"` // answers, or why it does not; empty: there is none yet
}

// stopped is the condition of a host on which no agent runs, whatever the last one wrote.
const stopped reconciler.Condition = "stopped"

// answers is said of a cluster that does.
const answers = "answers"

// clusterAnswer is how long the cluster has to answer somebody who looks at the status.
const clusterAnswer = 2 * time.Second

func runStatus(ctx context.Context, w io.Writer, opts statusOptions) error {
	st, err := statusNow(ctx, opts)
	if err != nil {
		return err
	}
	if opts.output != "text" {
		err = printAs(w, opts.output, st)
	} else {
		s := newSheet(w)
		st.print(s)
		_, err = io.WriteString(w, s.String())
	}
	if code := st.exitCode(); err == nil && code != 0 {
		return code
	}
	return err
}

func (st hostStatus) exitCode() exitCode {
	return map[reconciler.Condition]exitCode{reconciler.Working: 3, reconciler.Failing: 4, stopped: 5}[st.Now.Condition]
}

// statusNow reads the status and looks whether agent and cluster are alive.
func statusNow(ctx context.Context, opts statusOptions) (hostStatus, error) {
	st, err := readStatus(opts)
	if err != nil {
		return st, err
	}
	st.found(askCluster(ctx, st.Kubeconfig))
	return st, nil
}

// found takes note of how the cluster answers.
func (st *hostStatus) found(cluster string) {
	st.Now.Cluster = cluster
	if !st.clusterAnswers() && st.Now.Running {
		st.Now.Condition = reconciler.Failing
	}
}

func (st hostStatus) clusterAnswers() bool { return st.Now.Cluster == "" || st.Now.Cluster == answers }

func readStatus(opts statusOptions) (hostStatus, error) {
	st, err := reconciler.ReadStatus(opts.dataDir)
	if errors.Is(err, fs.ErrNotExist) {
		return hostStatus{}, &tipError{error: fmt.Errorf("no agent has run with data in %s", opts.dataDir),
			tip: "start one with \"holdfast agent\", or say where its data is with --data-dir"}
	}
	if err != nil {
		return hostStatus{}, &tipError{error: err, tip: "the agent writes it anew as it works: look at its log"}
	}
	out := hostStatus{Status: st, Now: momentary{At: time.Now().UTC().Truncate(time.Millisecond), Condition: st.Condition(), Running: st.Agent.Running()}}
	if !out.Now.Running {
		out.Now.Condition = stopped
	}
	if out.Backup, err = backupState(opts.dataDir); err != nil {
		return hostStatus{}, err
	}
	if opts.objects {
		inv, err := reconciler.ReadInventory(opts.dataDir)
		if err != nil {
			return hostStatus{}, err
		}
		out.Objects = inv.Layers
	}
	return out, nil
}

// askCluster says whether the cluster answers; nothing if there is none yet.
func askCluster(ctx context.Context, kubeconfig string) string {
	if kubeconfig == "" {
		return ""
	}
	ctx, cancel := context.WithTimeout(ctx, clusterAnswer)
	defer cancel()
	c, err := kube.Connect(kubeconfig, nil)
	if err == nil {
		err = c.Ready(ctx)
	}
	switch {
	case err == nil:
		return answers
	case errors.Is(err, context.DeadlineExceeded):
		return "does not answer within " + clusterAnswer.String()
	}
	all := strings.Split(err.Error(), ": ")
	return "does not answer: " + strings.Join(all[max(0, len(all)-2):], ": ")
}
