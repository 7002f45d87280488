package reconciler

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/holdfast-fleet/holdfast/bootstrap"
	"github.com/holdfast-fleet/holdfast/fleet"
	"github.com/holdfast-fleet/holdfast/gitsource"
	"github.com/holdfast-fleet/holdfast/render"
)

const (
	leaderKnown   = 15 * time.Second // within which it should be known who leads
	raiseAfter    = 3                // intervals that the leader has to learn of a revision by itself
	revisionShown = 12               // digits
)

// office is this host's part in the competition for its site's Lease. Who applies
// is settled once a round of work; a round that this changes under is interrupted.
type office struct {
	mu      sync.Mutex
	leader  Leader
	changed chan struct{} // closed, and made anew, when the leader changes
	settled bool          // this round knows who applies
	mine    bool          // it is this host, as far as the round knows
	end     context.CancelFunc

	stop func() // competing; nil: this host does not
}

func newOffice() *office { return &office{changed: make(chan struct{}), end: func() {}} }

// round begins one, which ends early when another host begins to apply, or this one.
func (o *office) round(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	o.mu.Lock()
	defer o.mu.Unlock()
	o.settled, o.end = false, cancel
	return ctx, cancel
}

// settle makes the round be about who leads by now.
func (o *office) settle() Leader {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.settled, o.mine = true, o.leader.Mine
	return o.leader
}

func (o *office) set(l Leader) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.leader = l
	close(o.changed)
	o.changed = make(chan struct{})
	if o.settled && o.mine != l.Mine {
		o.end()
	}
}

// look returns who leads, and is closed when that changes.
func (o *office) look() (leader Leader, changed <-chan struct{}) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.leader, o.changed
}

// lead returns who applies, once that is known; this host competes from now on.
func (s *session) lead(ctx context.Context, t target) (Leader, error) {
	if s.office.stop == nil {
		if err := s.compete(ctx, t); err != nil {
			return Leader{}, err
		}
	}
	waiting, cancel := context.WithTimeout(ctx, leaderKnown)
	defer cancel()
	for {
		leader, changed := s.office.look()
		switch {
		case leader.Host != "":
			return s.office.settle(), nil
		case errors.Is(leader.Err, ErrGuarded): // that takes somebody to mend it
			return Leader{}, nobodyLeads(t, leader)
		}
		select {
		case <-changed:
		case <-waiting.Done():
			if ctx.Err() != nil {
				return Leader{}, ctx.Err()
			}
			return Leader{}, nobodyLeads(t, leader)
		}
	}
}

func nobodyLeads(t target, l Leader) error {
	return fmt.Errorf("it is not known who holds the Lease of site %s: %w", t.Desired.Site, cmp.Or(l.Err, ErrNotLeader))
}

// compete takes part in the competition for the Lease, also between rounds.
func (s *session) compete(ctx context.Context, t target) error {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	leaders, err := s.cluster.Lead(ctx, t.Desired.Site, t.Desired.Host)
	if err != nil {
		cancel()
		return err
	}
	over := make(chan struct{})
	go func() {
		defer close(over)
		for l := range leaders {
			s.office.set(l)
		}
		s.office.set(Leader{})
	}()
	s.office.stop = func() { cancel(); <-over }
	return nil
}

// resign gives the Lease up, and competes for it no longer.
func (s *session) resign() {
	if s.office.stop != nil {
		s.office.stop()
		s.office.stop = nil
	}
}

// admit tells whether this host applies t to its site: it must not be behind the
// cluster, and hold the Lease. What it returns of the cluster's inventory was read before.
func (s *session) admit(ctx context.Context, rev gitsource.Revision, t target) (site Inventory, mine bool, err error) {
	if site, err = s.cluster.Inventory(ctx, t.Desired.Site); err != nil {
		return site, false, err
	}
	if err := behind(rev, t, site); err != nil {
		s.resign() // for a host that is not
		s.sayLeader(Leader{})
		return site, false, err
	}
	leader, err := s.lead(ctx, t)
	s.sayLeader(leader)
	if err != nil {
		return site, false, err
	}
	s.backUp(t, leader.Mine)
	return site, leader.Mine, nil
}

// sayLeader puts into the status which other host applies, if that is known.
func (s *session) sayLeader(l Leader) {
	s.rec.update(func(st *Status, _ time.Time) {
		st.Leader = ""
		if !l.Mine {
			st.Leader = l.Host
		}
	})
}

// behind says why t must not be applied over what the cluster has: a host of the
// site knew more than this one does.
func behind(rev gitsource.Revision, t target, site Inventory) error {
	switch {
	case site.Newest == "", site.Newest == t.Commit.Revision:
		return nil
	case rev.Override() != nil: // a person said that this host goes back
		return nil
	case site.Writer == t.Desired.Host && (rev.IsZero() || rev.Commit() == site.Newest): // what it began itself it may undo
		return nil
	}
	if _, err := rev.Since(site.Newest); err != nil || rev.Commit() == site.Newest {
		return &behindError{site.Newest, site.Writer}
	}
	return nil
}

// behindError reports a host that cannot bring the revision of its site.
type behindError struct{ newest, writer string }

func (b *behindError) Error() string {
	return fmt.Sprintf("the cluster is at revision %.*s, which host %s brought and this host does not have, or cannot render; it changes nothing", revisionShown, b.newest, b.writer)
}

func (b *behindError) Unwrap() error { return ErrBehind }

// Hint says what mends it.
func (b *behindError) Hint() string {
	return "let this host reach a source that has the revision, or carry it there: holdfast bundle"
}

// raised is the site's inventory with the revision of this host in it, if that is newer.
func raised(site Inventory, rev gitsource.Revision, t target) Inventory {
	if rev.Commit() == t.Commit.Revision && site.Newest != rev.Commit() {
		site.Newest, site.Writer = rev.Commit(), t.Desired.Host
	}
	return site
}

// heed makes of this host one that can take over: it keeps what the cluster's
// inventory lists, and the revision that was confirmed for the site. If the leader
// does not learn of a newer revision that this host has, the site's is raised, and
// the leader, being behind, gives way.
func (s *session) heed(ctx context.Context, rev gitsource.Revision, t target, site Inventory) error {
	clear(s.applied) // others change it
	if r := raised(site, rev, t); r.Newest != site.Newest && rev.Override() == nil && time.Since(s.renderedAt) > raiseAfter*s.Interval {
		saved, err := s.cluster.SaveInventory(ctx, r)
		if err != nil {
			return err
		}
		s.Log.Info("revision of the site raised", "site", site.Site, "revision", rev.Short())
		site = saved
	}
	if site.Version != "" && !(site.same(s.inventory)) {
		if err := s.saveInventory(site); err != nil {
			return err
		}
		s.inventory = site
	}
	confirmed := site.Revision == t.Commit.Revision
	if confirmed {
		if err := s.keep(t); err != nil {
			return err
		}
	}
	s.rec.update(func(st *Status, now time.Time) {
		st.Layers, st.Held = nil, nil // the leader has them, and what it says of them
		st.clear(PhaseConfirm)
		if confirmed && !st.Settled && rev.Commit() == t.Commit.Revision {
			st.Phase, st.Settled, st.Since = PhaseConfirm, true, now
		}
	})
	return nil
}

// stand keeps a host ready that does not apply: it has its node kept up, and unless
// it is a worker it heeds the leader. It returns when there is something else to do.
func (s *session) stand(ctx context.Context, rev gitsource.Revision, t target, wait time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	for {
		rest(ctx, jitter(s.Interval))
		s.pulse.beat(loopHold, patience)
		if ctx.Err() != nil || s.bootstrap(ctx, t) != nil {
			return
		}
		if t.worker() {
			continue
		}
		site, err := s.cluster.Inventory(ctx, t.Desired.Site)
		if err != nil || behind(rev, t, site) != nil || s.heed(ctx, rev, t, site) != nil {
			return
		}
	}
}

// worked keeps the revision of a host that has a node, and applies nothing.
func (s *session) worked(t target, settles bool) error {
	s.resign() // it may have been a control-plane host before
	s.noBackups()
	s.cluster, s.access = nil, bootstrap.Access{}
	s.rec.enter(PhaseConfirm)
	err := s.keep(t)
	s.rec.finish(PhaseConfirm, err)
	if err == nil && settles {
		s.settled()
	}
	return err
}

// shares refuses a site of several hosts whose distribution each would run for itself.
func (s *session) shares(host *fleet.Host, d render.Desired) error {
	active := host.Site.Active()
	if len(active) < 2 {
		return nil
	}
	dist, err := fleet.ParseDistribution(d.Node.Distribution)
	if err != nil {
		return err
	}
	driver, err := s.Driver(dist.Type)
	if err != nil || driver.Shares() {
		return err
	}
	return &fleet.Problem{File: active[1].File, Tip: "keep one host of the site active, or choose another type of distribution",
		Msg: fmt.Sprintf("a cluster of type %s has one host, and site %s has %d", dist.Type, host.Site.Name, len(active))}
}

// overtaken tells whether another host has raised the site's revision since this one began to apply.
func (s *session) overtaken(ctx context.Context, t target) bool {
	if !t.shared() {
		return false
	}
	site, err := s.cluster.Inventory(ctx, t.Desired.Site)
	return err == nil && site.Newest != s.inventory.Newest
}
