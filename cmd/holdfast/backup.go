package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/holdfast-fleet/holdfast/backup"
	"github.com/holdfast-fleet/holdfast/bootstrap"
	"github.com/holdfast-fleet/holdfast/identity"
	"github.com/holdfast-fleet/holdfast/reconciler"
	"github.com/holdfast-fleet/holdfast/secrets"
)

func newBackupCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "backup",
		Short: "Take a backup of the site's cluster now, list and check them",
		Long: `Take a backup of the site's cluster now, list and check them. The agent of the
host that applies takes them by itself, as spec.backup of the site, its groups or
the fleet says.

A backup has what the cluster is made of again on any host: what etcd holds and the
cluster's authorities. It is one file of age, encrypted to the fleet's recipients:
this host cannot open it. Volumes of pods are not in it.`,
		Example: `  holdfast backup now
  holdfast backup list
  holdfast backup check`,
	}
	cmd.AddCommand(newBackupNowCmd(), newBackupListCmd(), newBackupCheckCmd())
	return cmd
}

func newBackupNowCmd() *cobra.Command {
	var dataDir string
	cmd := &cobra.Command{
		Use:   "now",
		Short: "Take a backup now, and send it",
		Long: `Take a backup now, keep it on this host, and send it where the site says. It may be
taken on any control-plane host, also while no agent runs.`,
		Example: "  holdfast backup now",
		Args:    noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runBackupNow(cmd.Context(), cmd.OutOrStdout(), dataDir)
		},
	}
	addDataDir(cmd, &dataDir)
	return cmd
}

func newBackupListCmd() *cobra.Command {
	var dataDir, output string
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List backups, on this host and where they are sent",
		Example: `  holdfast backup list
  holdfast backup list -o json | jq -r '.[].file'`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runBackupList(cmd.Context(), cmd.OutOrStdout(), dataDir, output)
		},
	}
	addDataDir(cmd, &dataDir)
	addOutput(cmd, &output)
	return cmd
}

func newBackupCheckCmd() *cobra.Command {
	var opts backupCheckOptions
	cmd := &cobra.Command{
		Use:   "check [FILE...]",
		Short: "Read backups, and say whether they are whole",
		Long: `Read backups, and say whether each is what its name says: those on this host, or
the files that are named. With --everywhere those are read, too, that were sent
elsewhere. With --identity they are also opened, as a restore would.`,
		Example: `  holdfast backup check
  holdfast backup check --everywhere
  holdfast backup check --identity recovery.txt store-042_000017_*.age   # at headquarters`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			return opts.run(cmd.Context(), cmd.OutOrStdout(), args)
		},
	}
	addDataDir(cmd, &opts.dataDir)
	addIdentity(cmd, &opts.identities)
	cmd.Flags().BoolVar(&opts.everywhere, "everywhere", false, "read those that were sent elsewhere, too")
	return cmd
}

// keeperOf is the keeper of a host's backups, with what its identity opens.
func keeperOf(dataDir string) (*backup.Keeper, error) {
	id, err := identity.Load(filepath.Join(dataDir, "identity"))
	if err != nil {
		return nil, err
	}
	opens, err := secrets.HostIdentity(id.PrivateKey())
	if err != nil {
		return nil, err
	}
	return &backup.Keeper{Dir: backup.Dir(dataDir), Opener: backup.Opener{Secrets: opens, Login: id.Signer()}}, nil
}

// keepBackups takes backups beside all else, until ctx ends or stop is called.
func keepBackups(ctx context.Context, k *backup.Keeper) (duty *backup.Duty, stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	over := make(chan struct{})
	duty = backup.NewDuty()
	go func() {
		defer close(over)
		k.Run(ctx, duty)
	}()
	return duty, func() { cancel(); <-over }
}

// jobOf is what the agent of a data folder would back up.
func jobOf(dataDir string) (backup.Job, error) {
	if _, err := readStatus(statusOptions{dataDir: dataDir}); err != nil {
		return backup.Job{}, err
	}
	job, err := reconciler.ReadBackupJob(dataDir, func(kind string) (reconciler.Driver, error) { return bootstrap.For(kind) })
	if err == nil && !job.Plan.On() {
		err = &tipError{errors.New("the fleet does not say how this site is backed up"), "write spec.backup in fleet.yaml, a group.yaml or the site.yaml"}
	}
	return job, err
}

func runBackupNow(ctx context.Context, w io.Writer, dataDir string) error {
	job, err := jobOf(dataDir)
	if err != nil {
		return err
	}
	k, err := keeperOf(dataDir)
	if err != nil {
		return err
	}
	state, err := k.Take(ctx, job)
	if state.Failed == nil && state.Last != nil {
		fmt.Fprintf(w, "%s  %s\n", printable(state.Last.File), sizeText(state.Last.Size))
	}
	for _, s := range state.Sent {
		if s.Failed == nil {
			fmt.Fprintf(w, "sent to %s\n", printable(s.To))
		}
	}
	return err
}

// storedBackup is one of a list.
type storedBackup struct {
	Where string    `json:"where"` // empty: on this host
	File  string    `json:"file"`
	Taken time.Time `json:"taken"`
	Size  int64     `json:"size"`
}

// places are the stores that a host knows: itself, and where its job sends.
func places(ctx context.Context, k *backup.Keeper, job backup.Job, visit func(where string, store backup.Store) error) error {
	errs := []error{visit("", k.Local())}
	opener := k.Opener
	opener.Files = job.Files
	for _, t := range job.Plan.To {
		store, err := opener.Open(ctx, t)
		if err == nil {
			err = errors.Join(visit(t.Name(), store), store.Close())
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

func runBackupList(ctx context.Context, w io.Writer, dataDir, output string) error {
	job, err := jobOf(dataDir)
	if err != nil {
		return err
	}
	k, err := keeperOf(dataDir)
	if err != nil {
		return err
	}
	list := []storedBackup{}
	problem := places(ctx, k, job, func(where string, store backup.Store) error {
		all, err := backup.List(ctx, store, job.Site)
		for _, s := range all {
			list = append(list, storedBackup{where, s.String(), s.Taken, s.Size})
		}
		return err
	})
	if output != "text" {
		return errors.Join(printAs(w, output, list), problem)
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, s := range list {
		where := s.Where
		if where == "" {
			where = "this host"
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", s.Taken.Format(time.RFC3339), sizeText(s.Size), printable(where), s.File)
	}
	return errors.Join(table.Flush(), problem)
}

type backupCheckOptions struct {
	dataDir    string
	identities []string
	everywhere bool
}

func (o backupCheckOptions) run(ctx context.Context, w io.Writer, files []string) error {
	var ids []secrets.Identity
	if len(o.identities) > 0 {
		var err error
		if ids, err = identities(o.identities); err != nil {
			return err
		}
	}
	if len(files) > 0 {
		var errs []error
		for _, file := range files {
			errs = append(errs, checked(w, file, backup.CheckFile(ctx, file, ids...)))
		}
		return errors.Join(errs...)
	}
	k := &backup.Keeper{Dir: backup.Dir(o.dataDir)}
	job, err := jobOf(o.dataDir)
	if err == nil && o.everywhere {
		k, err = keeperOf(o.dataDir)
	}
	if err != nil {
		return err
	}
	if !o.everywhere {
		job.Plan.To = nil
	}
	return places(ctx, k, job, func(where string, store backup.Store) error {
		all, err := backup.List(ctx, store, job.Site)
		errs := []error{err}
		for _, s := range all {
			name := filepath.Join(where, s.String())
			errs = append(errs, checked(w, name, backup.Check(ctx, store, s.String(), ids...)))
		}
		return errors.Join(errs...)
	})
}

func checked(w io.Writer, name string, err error) error {
	if err == nil {
		_, err = fmt.Fprintf(w, "%s: whole\n", printable(name))
	}
	return err
}
