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
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/holdfast-fleet/holdfast/backup"
	"github.com/holdfast-fleet/holdfast/bootstrap"
	"github.com/holdfast-fleet/holdfast/durable"
	"github.com/holdfast-fleet/holdfast/identity"
	"github.com/holdfast-fleet/holdfast/orders"
	"github.com/holdfast-fleet/holdfast/reconciler"
	"github.com/holdfast-fleet/holdfast/secrets"
)

type restoreOptions struct {
	dataDir    string
	identities []string
	site       string
	replace    bool
	forget     bool
}

func newRestoreCmd() *cobra.Command {
	var opts restoreOptions
	cmd := &cobra.Command{
		Use:   "restore [FILE]",
		Short: "Make this host's cluster of a backup",
		Long: `Make this host's cluster of a backup. The backup is opened and kept, and the agent
does the rest: at once, or as soon as this host is registered at the site. On new
hardware, restore first and register then. Hosts that the site does not have any
more are taken out of the cluster, and the others join it anew. While another host
of the control plane is part of a cluster it waits: there are never two.

It asks for the site's name. The key is one that the backup was encrypted to: the
host's own, or --identity, of which nothing is kept.

A host that runs the very cluster of the backup goes back to it: what was written
since is lost. One that runs another cluster refuses, unless --replace takes that
one apart first, for which the agent must be stopped. --forget drops a backup that
was ordered and not restored yet.`,
		Example: `  holdfast restore --identity recovery.txt store-042_000017_20261126T033000Z_1f0c9a6d2b44_9f86d081884c7d65.age
  ssh headquarters cat recovery.txt | holdfast restore --identity /dev/stdin --site store-042 FILE
  holdfast restore --forget`,
		Args: optionalArgument,
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case opts.forget && len(args) == 0:
				return opts.drop(cmd.OutOrStdout())
			case opts.forget || len(args) == 0:
				return badUsage(cmd, errors.New("holdfast restore takes the FILE of a backup, or --forget"))
			}
			return opts.run(cmd, args[0])
		},
	}
	f := cmd.Flags()
	addDataDir(cmd, &opts.dataDir)
	addIdentity(cmd, &opts.identities)
	f.StringVar(&opts.site, "site", "", "the site's name, instead of asking for it")
	f.BoolVar(&opts.replace, "replace", false, "take the cluster apart that this host runs")
	f.BoolVar(&opts.forget, "forget", false, "drop what was ordered")
	return cmd
}

func (o restoreOptions) drop(w io.Writer) error {
	if p, err := backup.Ordered(o.dataDir); err == nil && p == nil { // a damaged order is dropped, too
		return errors.New("no backup is ordered to be restored")
	}
	if err := backup.Done(durable.Disk{}, o.dataDir); err != nil {
		return err
	}
	_, err := fmt.Fprintln(w, "dropped")
	return err
}

func (o restoreOptions) run(cmd *cobra.Command, file string) error {
	ids, err := o.keys()
	if err != nil {
		return err
	}
	if _, named := backup.ParseName(filepath.Base(file)); named { // otherwise age alone says whether it is whole
		if err := backup.CheckFile(cmd.Context(), file); err != nil {
			return err
		}
	}
	in, err := os.Open(file)
	if err != nil {
		return err
	}
	defer in.Close()
	m, err := backup.Peek(in, ids...)
	if err != nil {
		return &tipError{fmt.Errorf("%s: %w", file, err), "name the private key of one of its recipients with --identity"}
	}
	if err := o.confirm(cmd, m); err != nil {
		return err
	}
	if _, err := in.Seek(0, io.SeekStart); err != nil {
		return err
	}
	order := func() error {
		_, err := backup.Order(durable.Disk{}, o.dataDir, in, ids...)
		return err
	}
	if o.replace {
		err = o.takeApart(cmd.Context(), m.Type, order)
	} else {
		err = order()
	}
	if err != nil {
		return err
	}
	return o.tell(cmd.OutOrStdout(), m)
}

// keys are the host's own, and those that are named.
func (o restoreOptions) keys() ([]secrets.Identity, error) {
	if len(o.identities) > 0 {
		return identities(o.identities)
	}
	id, err := identity.Load(filepath.Join(o.dataDir, "identity"))
	if err != nil {
		return nil, err
	}
	own, err := secrets.HostIdentity(id.PrivateKey())
	return []secrets.Identity{own}, err
}

func (o restoreOptions) confirm(cmd *cobra.Command, m backup.Manifest) error {
	site := o.site
	if site == "" {
		in, ok := cmd.InOrStdin().(*os.File)
		if !ok || !term.IsTerminal(int(in.Fd())) {
			return &tipError{errors.New("nobody is there to be asked for the site's name"), "give it as --site " + m.Site}
		}
		fmt.Fprintf(cmd.ErrOrStderr(), "This makes this host's cluster that of %s as it was at %s, when it ran revision %s on host %s. The site's name, to go on: ",
			printable(m.Site), m.Taken.Format(time.RFC3339), printable(clip(m.Revision)), printable(m.Host))
		line, err := bufio.NewReader(in).ReadString('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		site = strings.TrimSpace(line)
	}
	if site != m.Site {
		return &tipError{fmt.Errorf("the backup is of site %s, not %s", printable(m.Site), site), "nothing was changed"}
	}
	return nil
}

// takeApart removes the cluster that is there, and what the agent knows of it, once
// another is ordered. The host stays who it is.
func (o restoreOptions) takeApart(ctx context.Context, kind string, order func() error) error {
	unlock, err := reconciler.Lock(o.dataDir)
	if errors.Is(err, reconciler.ErrRunning) {
		return &tipError{fmt.Errorf("an agent runs with data in %s", o.dataDir), "stop it first: systemctl stop holdfast"}
	}
	if err != nil {
		return err
	}
	defer unlock()
	driver, err := bootstrap.For(kind)
	if err != nil {
		return err
	}
	if err := order(); err != nil {
		return err
	}
	if err := driver.Reset(ctx, filepath.Join(o.dataDir, kind)); err != nil {
		return fmt.Errorf("take %s apart: %w", kind, err)
	}
	return reconciler.ForgetCluster(o.dataDir)
}

// tell wakes the agent, and says what happens next.
func (o restoreOptions) tell(w io.Writer, m backup.Manifest) error {
	if err := give(o.dataDir, orders.Order{Verb: orders.Sync, At: time.Now().UTC().Truncate(time.Second)}); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	st, err := readStatus(statusOptions{dataDir: o.dataDir})
	next := "the agent restores it at once: holdfast status"
	switch {
	case err != nil || st.Host == "":
		next = "register this host at site " + m.Site + ": then the agent restores it"
	case !st.Now.Running:
		next = "the agent restores it when it is started: systemctl start holdfast"
	}
	_, err = fmt.Fprintf(w, "%s as of %s is opened and whole; %s\n", printable(m.Site), m.Taken.Format(time.RFC3339), next)
	return err
}
