package reconciler

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/sync/errgroup"

	"github.com/holdfast-fleet/holdfast/bootstrap"
	"github.com/holdfast-fleet/holdfast/content"
	"github.com/holdfast-fleet/holdfast/durable"
	"github.com/holdfast-fleet/holdfast/fleet"
	"github.com/holdfast-fleet/holdfast/gitsource"
	"github.com/holdfast-fleet/holdfast/orders"
	"github.com/holdfast-fleet/holdfast/render"
	"github.com/holdfast-fleet/holdfast/secrets"
	"github.com/holdfast-fleet/holdfast/selfupdate"
)

// ErrRunning reports that another agent works in the same data folder.
var ErrRunning = errors.New("another agent is running")

// Source is where verified revisions come from.
type Source interface {
	// Follow asks each source for ever, at the interval, and brings in what it has;
	// nothing of it is trusted yet. It sends whenever one was asked, until ctx ends.
	Follow(ctx context.Context, interval time.Duration) <-chan struct{}
	// Problems says which sources could not be read when they were last asked.
	Problems() error
	// Verify returns the newest trustworthy revision. It may return one together
	// with an error, which then says why a newer commit was refused.
	Verify(ctx context.Context) (gitsource.Revision, error)
	// Pins finds what the pins of a revision name.
	Pins(rev gitsource.Revision) *gitsource.Pins
	// Accepted returns a revision that was accepted before.
	Accepted(commit string) (gitsource.Revision, error)
	// SetSources changes which sources are asked, also while they are followed.
	SetSources(sources []gitsource.Source) error
	// Take reads a bundle that somebody brought, and says which commit it has; nothing
	// of it is trusted before Verify. Forget is for when it was judged.
	Take(ctx context.Context, path string) (commit string, err error)
	Forget(path string)
	// Sources says how each source was when it was last asked.
	Sources() []gitsource.SourceState
	// Answers tells whether a source answered, and has the newest accepted revision.
	Answers(s gitsource.Source) bool
}

// Driver brings the node of one distribution up.
type Driver interface {
	Needs(d fleet.Distribution) []string
	// Shares tells whether several hosts can be nodes of one cluster.
	Shares() bool
	Ensure(ctx context.Context, req bootstrap.Request) (bootstrap.Access, error)
	// Backup writes what the cluster is made of again into an empty folder.
	Backup(ctx context.Context, dir, into string) error
}

// Memo keeps what loading and rendering found out, for the next revision.
type Memo interface {
	render.Memo
	Flush() error
}

// Reconciler drives one host to the newest verified revision, for ever.
type Reconciler struct {
	Dir         string            // the agent's own data, 0700
	Disk        durable.Disk      // that Dir is on; the zero one is the plain one
	Identity    string            // the host's public key as in authorized_keys
	Fingerprint string            // of Identity
	Version     string            // of the agent
	Program     *selfupdate.Agent // what runs; nil: it is never switched
	Alive       func()            // is called while the agent works; nil: nobody asks
	AliveWithin time.Duration     // is the longest time between two calls of it
	Source      Source
	Staged      []gitsource.Source // that the host was installed with
	Login       ssh.Signer         // what the host is known by
	Secrets     secrets.Identity   // opens what is encrypted to this host
	Content     *content.Store
	Peers       Peers // nil: nobody asks this host, and it asks nobody
	Driver      func(kind string) (Driver, error)
	Backups     Backups // nil: there are none
	Connect     func(kubeconfig string) (Cluster, error)
	Interval    time.Duration    // between polls of the sources, jittered by a tenth; default one minute; until the host is registered, at most ten seconds
	Verify      time.Duration    // between looks at every object, jittered by a tenth; default ten minutes
	Log         *slog.Logger     // nil discards
	Now         func() time.Time // the wall clock, by which nothing goes but what commits and people date; nil: the machine's
	Memo        Memo             // nil: each revision is loaded and rendered from nothing
	Worker      func() *exec.Cmd // does [render.Work], so that no chart can take the agent down; nil: it renders charts itself
}

// A session is one run of a Reconciler.
type session struct {
	Reconciler
	rec          *recorder
	pulse        *pulse
	end          context.CancelCauseFunc
	started      time.Time
	fresh        *freshness
	rotation     *rotation
	confirmed    *target              // last confirmed, from disk
	removed      *fleet.Host          // this host, if the newest revision has taken it out of its site
	begun        *target              // in a maintenance window, and not confirmed yet; nil: none
	suspended    []Pause              // by commits, as of the last look
	lacking      bool                 // the program that the newest revision names could not be had
	rendered     *target              // of the newest revision that could be rendered
	renderedAt   time.Time            // when it was
	mayGoBack    []string             // versions of Kubernetes, as commits up to it allow
	tryAnew      bool                 // what the node has undone, as somebody ordered
	inventory    Inventory            // what may be in the cluster
	lists        map[string][]Object  // digest of a layer → what is in it, as of the last listing
	going        bool                 // this round deleted something that finalizers hold
	pauses       []orders.Order       // that stand, as of the last look
	pausesOnDisk []orders.Order       // as of the last order
	knownFor     map[string]time.Time // pause → since when this run knows it
	sync         chan struct{}        // asks for a look at the sources at once
	waiting      atomic.Bool          // for a revision that registers the host
	intents      intents              // what commits allow, of the revision being worked on
	cluster      Cluster
	office       *office
	attempts     *attempts
	access       bootstrap.Access
	checked      map[string]bool   // digests of content that was verified to be there
	applied      map[string]string // layer → digest that is known to be in the cluster
	unrepaired   map[string]string // layer → why its drift is not repaired, as last logged

	mu       sync.Mutex        // guards what layers, or sources, side by side write
	failing  map[string]*trial // digest of a layer → how it failed so far
	verdicts *verdicts
	judged   bool      // this round found a layer bad
	guarded  bool      // this round, a layer was refused on admission
	said     time.Time // when the log last said how far a source is
}

// Run drives the host until ctx ends. It returns early only if it cannot start, or
// with [selfupdate.ErrRestart] for another program to go on.
func (r *Reconciler) Run(ctx context.Context) error {
	unlock, err := Lock(r.Dir)
	if err != nil {
		return err
	}
	defer unlock()
	s := r.session()
	revisions := make(chan gitsource.Revision)
	ctx, s.end = context.WithCancelCause(ctx)
	defer s.end(nil)
	var g errgroup.Group
	g.Go(func() error { s.rec.run(ctx); return nil })
	g.Go(func() error { s.follow(ctx, revisions); return nil })
	g.Go(func() error { s.drive(ctx, revisions); return nil })
	g.Go(func() error { s.prove(ctx); return nil })
	g.Go(func() error { s.live(ctx); return nil })
	_ = g.Wait() // they end with ctx
	if cause := context.Cause(ctx); errors.Is(cause, selfupdate.ErrRestart) {
		return cause
	}
	return nil
}

func (r *Reconciler) session() *session {
	s := &session{Reconciler: *r, started: time.Now(), applied: map[string]string{}, checked: map[string]bool{}, unrepaired: map[string]string{}, failing: map[string]*trial{}, sync: make(chan struct{}, 1), knownFor: map[string]time.Time{}, pulse: newPulse(), office: newOffice(), end: func(error) {}}
	if s.Log == nil {
		s.Log = slog.New(slog.DiscardHandler)
	}
	if s.Interval <= 0 {
		s.Interval = time.Minute
	}
	if s.Verify <= 0 {
		s.Verify = 10 * time.Minute
	}
	if s.Now == nil {
		s.Now = time.Now
	}
	var err error
	if s.confirmed, err = loadConfirmed(s.Dir); err != nil {
		s.Log.Error("last confirmed revision not readable", "error", err)
	}
	s.waiting.Store(s.confirmed == nil)
	if s.begun, err = loadBegun(s.Dir); err != nil {
		s.Log.Error("revision begun in a maintenance window not readable", "error", err)
	}
	if s.inventory, err = loadInventory(s.Dir); err != nil {
		s.Log.Error("local inventory not readable", "error", err)
	}
	if s.verdicts, err = openVerdicts(s.Disk, s.Dir); err != nil {
		s.Log.Error("which layers are bad is not readable", "error", err)
	}
	if s.attempts, err = openAttempts(s.Disk, s.Dir); err != nil {
		s.Log.Error("which changes were cut off is not readable", "error", err)
	}
	if s.fresh, err = openFreshness(s.Dir); err != nil {
		s.Log.Error("age of the news not readable", "error", err)
	}
	s.fresh.disk = s.Disk
	if s.rotation, err = openRotation(r, s.Log); err != nil {
		s.Log.Error("which sources are proven is not readable", "error", err)
	}
	now := s.Now().UTC().Truncate(time.Millisecond)
	first := Status{
		Fingerprint: s.Fingerprint,
		Agent:       s.agentStatus(now),
		Phase:       PhaseSource,
		Since:       now,
		Verdicts:    slices.Clone(s.verdicts.list),
	}
	if s.confirmed != nil {
		first.Site, first.Host, first.Confirmed = s.confirmed.Desired.Site, s.confirmed.Desired.Host, &s.confirmed.Commit
		first.Layers = layerStatuses(nil, s.confirmed.Desired.Cluster.Layers, nil, now)
	}
	if before, err := ReadStatus(s.Dir); err == nil {
		first.Sources = before.Sources
	}
	s.rec = newRecorder(s.Dir, first, s.Log)
	s.rec.disk, s.rec.now = s.Disk, s.Now
	if s.confirmed != nil { // until a revision says otherwise
		s.admitPeers(s.confirmed.Desired.Host, s.confirmed.Members)
	}
	return s
}

// drive works on the newest revision that follow sent. A newer one, and a person's
// order, interrupt the work on an older: every step can be taken again.
func (s *session) drive(ctx context.Context, revisions <-chan gitsource.Revision) {
	stop := func() {}
	defer func() { stop(); s.resign() }()
	ordered := s.hear(ctx)
	s.obey(s.given())
	var rev gitsource.Revision
	begun := false
	for {
		select {
		case <-ctx.Done():
			return
		case rev = <-revisions:
			begun = true
			stop()
		case <-ordered:
			list := s.given()
			if !s.isNews(list) {
				continue
			}
			stop()
			s.obey(list)
		}
		if !begun {
			continue
		}
		work, cancel := context.WithCancel(ctx)
		done := make(chan struct{})
		go func() { defer close(done); s.hold(work, rev) }()
		stop = func() { cancel(); <-done }
	}
}

// Lock makes this process the agent of a data folder, until unlock is called. Its
// error is [ErrRunning] if another one is.
func Lock(dir string) (unlock func(), err error) {
	path := filepath.Join(dir, "agent.lock")
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		return nil, fmt.Errorf("lock %s: %w", path, ErrRunning)
	}
	return func() {
		// A child that is being started may hold the file open for a moment longer.
		_ = syscall.Flock(int(f.Fd()), syscall.LOCK_UN)
		f.Close()
	}, nil
}
