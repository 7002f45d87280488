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
	"golang.org/x/crypto/ssh"

	"github.com/holdfast-fleet/holdfast/backup"
	"github.com/holdfast-fleet/holdfast/bootstrap"
	"github.com/holdfast-fleet/holdfast/content"
	"github.com/holdfast-fleet/holdfast/events"
	"github.com/holdfast-fleet/holdfast/gitsource"
	"github.com/holdfast-fleet/holdfast/identity"
	"github.com/holdfast-fleet/holdfast/peers"
	"github.com/holdfast-fleet/holdfast/reconciler"
	"github.com/holdfast-fleet/holdfast/reconciler/kube"
	"github.com/holdfast-fleet/holdfast/secrets"
	"github.com/holdfast-fleet/holdfast/selfupdate"
	"github.com/holdfast-fleet/holdfast/trust"
)

type agentOptions struct {
	config    string
	anchor    string
	recovery  string             // empty: nobody may recover
	remotes   []string           // of the flags --source
	mirrors   []string           // of the flags --mirror
	sources   []gitsource.Source // of both, then of the configuration
	branch    string
	bundles   []string
	dataDir   string
	interval  time.Duration
	metrics   string // address to serve them at besides the socket; mostly empty
	logFormat string
	verbose   bool
	programs  programs // of the agent itself; none in tests
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
signed by a key that its parent trusts.

A configuration file says more of sources than flags can, such as where a token
is. Without --config, /etc/holdfast/agent.yaml is read if it exists. Flags come
before what it says; sources and bundle folders of both count.`,
		Example: `  holdfast agent --anchor /etc/holdfast/anchor --source https://git.example.com/fleet.git
  holdfast agent --anchor /etc/holdfast/anchor --bundles /media/stick
  holdfast agent --config /etc/holdfast/agent.yaml`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := opts.configure(cmd); err != nil {
				return err
			}
			if opts.anchor == "" {
				return badUsage(cmd, errors.New("holdfast agent needs --anchor"))
			}
			return serveAgent(cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr(), opts)
		},
	}
	f := cmd.Flags()
	f.StringVar(&opts.config, "config", "", "file that says what the flags do not; default "+defaultAgentConfig+" if it exists")
	f.StringVar(&opts.anchor, "anchor", "", anchorUsage+" (required, here or in the configuration)")
	f.StringVar(&opts.recovery, "recovery", "", "file of keys, kept offline, that may mend trust/ whatever its policy says")
	f.StringArrayVar(&opts.remotes, "source", nil, "URL of a Git repository; may be repeated")
	f.StringArrayVar(&opts.mirrors, "mirror", nil, "URL of a static mirror; may be repeated")
	f.StringVar(&opts.branch, "branch", "main", "branch of the sources")
	f.StringArrayVar(&opts.bundles, "bundles", nil, "folder to find Git bundles in, such as a stick's; may be repeated")
	addDataDir(cmd, &opts.dataDir)
	f.DurationVar(&opts.interval, "interval", time.Minute, "time between polls of the sources; at most 10s until the host is registered")
	addChoice(cmd, "log-format", "", choice{&opts.logFormat, "log format", []string{"text", "json"}})
	f.BoolVarP(&opts.verbose, "verbose", "v", false, "log more")
	_ = cmd.MarkFlagDirname("bundles")
	_ = cmd.MarkFlagFilename("config", "yaml")
	_ = cmd.MarkFlagFilename("anchor")
	_ = cmd.MarkFlagFilename("recovery")
	return cmd
}

const (
	agentMemory  = 48 << 20 // bytes past which the garbage collector works harder
	agentGarbage = 200      // percent of what is in use, which it leaves until then
)

// serveAgent runs the agent as the program that its fleet chose.
func serveAgent(ctx context.Context, stdout, stderr io.Writer, opts agentOptions) error {
	if err := opts.check(); err != nil {
		return err
	}
	debug.SetMemoryLimit(agentMemory)
	debug.SetGCPercent(agentGarbage)
	var instead error
	opts.programs, instead = handOver(opts.dataDir)
	if instead != nil {
		newLogger(stderr, opts.logFormat, opts.verbose).Error("the installed agent runs in place of another", "error", instead)
	}
	err := runAgent(ctx, stdout, stderr, opts)
	if errors.Is(err, selfupdate.ErrRestart) {
		return opts.programs.startAnew()
	}
	return err
}

func (o *agentOptions) check() error {
	if len(o.sources)+len(o.bundles) == 0 {
		return usageError{errors.New("an agent needs a --source or a --bundles folder"), "name where commits come from: --source https://git.example.com/fleet.git"}
	}
	if o.interval <= 0 {
		return usagef("--interval must be more than 0, not %s", o.interval)
	}
	return nil
}

func runAgent(ctx context.Context, stdout, stderr io.Writer, opts agentOptions) error {
	anchor, recovery, err := opts.keys()
	if err != nil {
		return err
	}
	happened := events.Open(opts.dataDir)
	defer happened.Close()
	log := slog.New(happened.Handler(newLogger(stderr, opts.logFormat, opts.verbose).Handler()))
	repo, err := opts.open(anchor, recovery, log)
	if err != nil {
		return err
	}
	defer repo.Close()
	id, err := identity.Load(filepath.Join(opts.dataDir, "identity"))
	if err != nil {
		return err
	}
	opens, err := secrets.HostIdentity(id.PrivateKey())
	if err != nil {
		return err
	}
	store, err := content.Open(filepath.Join(opts.dataDir, "content"))
	if err != nil {
		return err
	}
	if st, err := reconciler.ReadStatus(opts.dataDir); err != nil || st.Host == "" {
		if err := printRegistration(stdout, id); err != nil {
			return err
		}
	}
	serveMetrics(ctx, opts.dataDir, opts.metrics, log)
	log.Info("agent started", "version", version, "key", id.Fingerprint(), "data", opts.dataDir)
	ordered := func() (bool, error) { return backup.IsOrdered(opts.dataDir) }
	server := &peers.Server{Key: id.PrivateKey(), Local: bootstrap.Local(opts.dataDir, ordered), Log: log}
	defer server.Close()
	r := reconciler.Reconciler{
		Dir: opts.dataDir, Identity: id.PublicKey(), Fingerprint: id.Fingerprint(), Version: version,
		Source: repo, Staged: opts.sources, Login: id.Signer(), Secrets: opens, Content: store, Interval: opts.interval, Log: log, Worker: renderWorkerCmd,
		Driver:  func(kind string) (reconciler.Driver, error) { return bootstrap.For(kind) },
		Peers:   neighbours{server, &peers.Client{Key: id.PrivateKey()}},
		Connect: func(kubeconfig string) (reconciler.Cluster, error) { return kube.Connect(kubeconfig, log) },
	}
	duty, stop := keepBackups(ctx, &backup.Keeper{Dir: backup.Dir(opts.dataDir), Opener: backup.Opener{Secrets: opens, Login: id.Signer()}, Log: log})
	defer stop()
	r.Backups = duty
	if kept := openMemoIn(filepath.Join(opts.dataDir, "cache"), hostCache); kept != nil {
		defer kept.Close()
		r.Memo = kept
	}
	if opts.programs.self != "" {
		if r.Program, err = opts.programs.slots.Running(opts.programs.self, opts.programs.installed, store.File); err != nil {
			log.Error("the agent is not switched", "error", err)
		}
		r.Alive, r.AliveWithin = notifier(log)
	}
	err = r.Run(ctx)
	log.Info("agent stopped")
	return err
}

// open opens what the host knows of its fleet.
func (o *agentOptions) open(anchor, recovery *trust.Keyring, log *slog.Logger) (*gitsource.Repository, error) {
	repo, err := gitsource.Open(gitsource.Options{
		Dir:        sourceState(o.dataDir).Dir,
		Second:     sourceState(o.dataDir).Second,
		Sources:    o.withHostKey(),
		Branch:     o.branch,
		BundleDirs: o.bundles,
		Anchor:     anchor,
		Recovery:   recovery,
		Log:        log,
	})
	if errors.Is(err, gitsource.ErrInUse) {
		return nil, &tipError{fmt.Errorf("another agent runs with data in %s", o.dataDir), "stop it first, or give this one another --data-dir"}
	}
	return repo, err
}

// neighbours are the other hosts of the site.
type neighbours struct {
	*peers.Server
	*peers.Client
}

// keys reads the anchor and, if there are any, the keys for recovery.
func (o *agentOptions) keys() (anchor, recovery *trust.Keyring, err error) {
	if anchor, err = readAnchor(o.anchor); err != nil || o.recovery == "" {
		return anchor, nil, err
	}
	recovery, err = readAnchor(o.recovery)
	return anchor, recovery, err
}

// withHostKey lets sources log in with the key that the host is registered by,
// which is made at its first use.
func (o *agentOptions) withHostKey() []gitsource.Source {
	for i := range o.sources {
		o.sources[i].HostKey = func() (ssh.Signer, error) {
			id, err := identity.Load(filepath.Join(o.dataDir, "identity"))
			if err != nil {
				return nil, err
			}
			return id.Signer(), nil
		}
	}
	return o.sources
}

// maxAnchor is the largest file of keys that is read, in bytes.
const maxAnchor = 1 << 20

func readAnchor(path string) (*trust.Keyring, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, &tipError{fmt.Errorf("read anchor: %w", err), "it holds the keys that sign the fleet: a copy of trust/allowed_signers or trust/<who>.asc"}
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, maxAnchor+1))
	if err != nil {
		return nil, fmt.Errorf("read anchor: %w", err)
	}
	keys, err := trust.ParseKeyring(map[string][]byte{path: data})
	if err != nil {
		return nil, err
	}
	if keys.Len() == 0 {
		return nil, &trust.Problem{File: path, Msg: "holds no key", Tip: `write: alice@example.com namespaces="git" ssh-ed25519 AAAA…`}
	}
	return keys, nil
}

func newLogger(w io.Writer, format string, verbose bool) *slog.Logger {
	opts := &slog.HandlerOptions{}
	if verbose {
		opts.Level = slog.LevelDebug
	}
	if format == "json" {
		return slog.New(slog.NewJSONHandler(w, opts))
	}
	return slog.New(slog.NewTextHandler(w, opts))
}
