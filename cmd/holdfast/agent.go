package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"runtime/debug"
	"time"

	"github.com/spf13/cobra"

	"github.com/holdfast-fleet/holdfast/bootstrap"
	"github.com/holdfast-fleet/holdfast/content"
	"github.com/holdfast-fleet/holdfast/gitsource"
	"github.com/holdfast-fleet/holdfast/identity"
	"github.com/holdfast-fleet/holdfast/reconciler"
	"github.com/holdfast-fleet/holdfast/reconciler/kube"
	"github.com/holdfast-fleet/holdfast/trust"
)

type agentOptions struct {
	anchor    string
	sources   []string
	branch    string
	bundles   []string
	dataDir   string
	interval  time.Duration
	logFormat string
	verbose   bool
}

func newAgentCmd() *cobra.Command {
	var opts agentOptions
	cmd := &cobra.Command{
		Use:   "agent",
		Short: "Run this host's agent",
		Long: `Run this host's agent: pull commits, verify them, render what this host should
run, bootstrap its cluster, apply, confirm, and keep it so.

The anchor holds the keys that vouch for the first revision this host sees. From
then on a commit counts only if it descends from the newest one accepted and is
signed by a key that its parent trusts.`,
		Example: `  holdfast agent --anchor /etc/holdfast/anchor --source https://git.example.com/fleet.git
  holdfast agent --anchor /etc/holdfast/anchor --bundles /media/stick`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runAgent(cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr(), opts)
		},
	}
	f := cmd.Flags()
	f.StringVar(&opts.anchor, "anchor", "", "file of keys that vouch for the first revision: allowed_signers, or OpenPGP if it ends in .asc (required)")
	f.StringArrayVar(&opts.sources, "source", nil, "URL of a Git repository, http or https; may be repeated")
	f.StringVar(&opts.branch, "branch", "main", "branch of the sources")
	f.StringArrayVar(&opts.bundles, "bundles", nil, "folder to find Git bundles in, such as a stick's; may be repeated")
	f.StringVar(&opts.dataDir, "data-dir", defaultDataDir, "where the agent keeps all it has")
	f.DurationVar(&opts.interval, "interval", time.Minute, "time between polls of the sources")
	f.StringVar(&opts.logFormat, "log-format", "text", "text or json")
	f.BoolVarP(&opts.verbose, "verbose", "v", false, "log more")
	_ = cmd.MarkFlagRequired("anchor")
	_ = cmd.MarkFlagDirname("bundles")
	_ = cmd.MarkFlagDirname("data-dir")
	return cmd
}

// agentMemory is the size in bytes past which the garbage collector works harder.
const agentMemory = 48 << 20

func runAgent(ctx context.Context, stdout, stderr io.Writer, opts agentOptions) error {
	if len(opts.sources)+len(opts.bundles) == 0 {
		return usageError{errors.New("an agent needs a --source or a --bundles folder")}
	}
	log, err := newLogger(stderr, opts.logFormat, opts.verbose)
	if err != nil {
		return err
	}
	debug.SetMemoryLimit(agentMemory)
	if err := os.MkdirAll(opts.dataDir, 0o700); err != nil {
		return err
	}
	id, err := identity.Load(filepath.Join(opts.dataDir, "identity"))
	if err != nil {
		return err
	}
	anchor, err := readAnchor(opts.anchor)
	if err != nil {
		return err
	}
	store, err := content.Open(filepath.Join(opts.dataDir, "content"))
	if err != nil {
		return err
	}
	repo, err := gitsource.Open(gitsource.Options{
		Dir:        filepath.Join(opts.dataDir, "source"),
		Remotes:    opts.sources,
		Branch:     opts.branch,
		BundleDirs: opts.bundles,
		Anchor:     anchor,
		Log:        log,
	})
	if err != nil {
		return err
	}
	defer repo.Close()
	if st, err := reconciler.ReadStatus(opts.dataDir); err != nil || st.Host == "" {
		if err := printRegistration(stdout, id); err != nil {
			return err
		}
	}
	log.Info("agent started", "version", version, "key", id.Fingerprint(), "data", opts.dataDir)
	r := reconciler.Reconciler{
		Dir: opts.dataDir, Identity: id.PublicKey(), Fingerprint: id.Fingerprint(), Version: version,
		Source: repo, Content: store, Interval: opts.interval, Log: log,
		Driver:  func(kind string) (reconciler.Driver, error) { return bootstrap.For(kind) },
		Connect: func(kubeconfig string) (reconciler.Cluster, error) { return kube.Connect(kubeconfig, log) },
	}
	err = r.Run(ctx)
	log.Info("agent stopped")
	return err
}

func readAnchor(path string) (*trust.Keyring, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read anchor: %w", err)
	}
	return trust.ParseKeyring(map[string][]byte{filepath.Base(path): data})
}

func newLogger(w io.Writer, format string, verbose bool) (*slog.Logger, error) {
	opts := &slog.HandlerOptions{}
	if verbose {
		opts.Level = slog.LevelDebug
	}
	switch format {
	case "text":
		return slog.New(slog.NewTextHandler(w, opts)), nil
	case "json":
		return slog.New(slog.NewJSONHandler(w, opts)), nil
	}
	return nil, usageError{fmt.Errorf("unknown log format %q: text or json", format)}
}
