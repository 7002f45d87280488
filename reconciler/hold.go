package reconciler

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/holdfast-fleet/holdfast/fleet"
	"github.com/holdfast-fleet/holdfast/gitsource"
	"github.com/holdfast-fleet/holdfast/orders"
	"github.com/holdfast-fleet/holdfast/peers"
	"github.com/holdfast-fleet/holdfast/render"
	"github.com/holdfast-fleet/holdfast/selfupdate"
)

// ErrFrozen reports a host that the fleet does not list any more. It keeps
// running what it has: leaving a host out is not an order to remove it.
var ErrFrozen error = frozen{}

type frozen struct{}

func (frozen) Error() string {
	return "the fleet does not list this host any more; it keeps what it runs and changes nothing"
}

// Hint says how to take the host back, and how to let it go.
func (frozen) Hint() string {
	return "list its key in a file below the hosts folder of its site again, or switch the machine off"
}

// ErrWaiting reports a host that has nothing to run yet.
var ErrWaiting = errors.New("waiting for the first revision")

// hold converges on rev and keeps the host there until ctx ends.
func (s *session) hold(ctx context.Context, rev gitsource.Revision) {
	failures := 0
	for ctx.Err() == nil {
		next := s.lookAtPauses()
		if slices.ContainsFunc(s.pauses, func(o orders.Order) bool { return o.Layer == "" }) {
			s.pulse.beat(loopHold, patience)
			s.says("goes on", next)
			rest(ctx, min(next, time.Minute))
			continue
		}
		if next == 0 {
			next = math.MaxInt64
		}
		round, end := s.office.round(ctx)
		failures = s.round(round, rev, next, failures)
		if round.Err() != nil && ctx.Err() == nil { // another host may have applied meanwhile
			clear(s.applied)
		}
		end()
	}
}

// round converges once, and keeps the host there for as long as there is nothing
// else to do. It returns how often that has failed in a row.
func (s *session) round(ctx context.Context, rev gitsource.Revision, next time.Duration, failures int) int {
	s.rec.update(func(st *Status, _ time.Time) { st.Next = nil })
	s.judged, s.going, s.guarded = false, false, false
	t, soon, err := s.converge(ctx, rev)
	leader := s.office.settle()
	if !soon.IsZero() {
		next = min(next, max(soon.Sub(s.Now()), time.Second))
	}
	switch {
	case ctx.Err() != nil:
	case err != nil && s.judged: // what is bad by now is put back at once
	case err != nil:
		failures++
		wait := min(next, backoff(failures, time.Second, longest(err)))
		s.says("tries again", wait)
		s.repair(ctx, t, wait)
		return failures
	case t != nil && (t.worker() || leader.Host != "" && !leader.Mine):
		s.stand(ctx, rev, *t, min(next, jitter(s.Verify)))
	default:
		wait := min(next, jitter(s.Verify))
		if t != nil {
			s.says("looks at every object", wait)
		}
		s.repair(ctx, t, wait)
		if ctx.Err() == nil { // a newer revision finds applied what is the same in both
			clear(s.applied)
		}
	}
	return 0
}

func rest(ctx context.Context, d time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	<-ctx.Done()
}

// converge takes the host to rev, or, if rev cannot be loaded or rendered, back to
// the last confirmed one. It returns the target that the cluster was brought to, nil
// if it was left alone, and an error if trying again may help. Once soon has come,
// unless it is zero, more may be permitted than now.
func (s *session) converge(ctx context.Context, rev gitsource.Revision) (held *target, soon time.Time, err error) {
	s.pulse.beat(loopHold, patience)
	newest, refused := s.desire(rev)
	if newest == nil {
		s.resign()
		s.noBackups()
		return nil, soon, s.leave(ctx)
	}
	t, soon := s.permit(rev, newest)
	if t == nil {
		return nil, soon, nil
	}
	held, err = s.bring(ctx, rev, t, refused == nil && t == newest)
	return held, soon, err
}

// bring takes the host to t; if it settles, nothing is left to do for rev then.
func (s *session) bring(ctx context.Context, rev gitsource.Revision, t *target, settles bool) (*target, error) {
	if err := s.begin(t); err != nil {
		return nil, err
	}
	s.rec.enter(PhaseBootstrap)
	if err := s.bootstrap(ctx, *t); err != nil {
		s.rec.finish(PhaseBootstrap, err)
		if t.shared() { // others may be able to apply
			s.resign()
		}
		return nil, err
	}
	s.rec.finish(PhaseBootstrap, nil)
	if t.worker() {
		return t, s.worked(*t, settles)
	}

	s.rec.enter(PhaseApply)
	site, mine, err := s.admit(ctx, rev, *t)
	if err == nil && !mine {
		err = s.heed(ctx, rev, *t, site)
	}
	switch {
	case err != nil:
		s.rec.finish(PhaseApply, err)
		return nil, err
	case !mine:
		s.rec.finish(PhaseApply, nil)
		return t, nil
	}
	s.condemnCutOff(*t)
	desired := t.Desired.Cluster.Layers
	layers, kept := plan(desired, s.confirmedLayers(), s.stays(desired))
	layers = s.touchable(layers)
	planned := *t
	planned.Desired.Cluster.Layers = s.confirmedOf(layers)
	if err = s.expect(ctx, rev, *t, site); err == nil {
		err = s.attempt(layers)
		defer s.attempted()
	}
	if err == nil {
		planned.Desired.Cluster.Layers, err = s.apply(ctx, *t, layers, kept)
	}
	s.rec.finish(PhaseApply, err)
	if err != nil {
		s.unguard(ctx, *t, layers, err)
		return &planned, err
	}

	s.rec.enter(PhaseConfirm)
	if err := rolledBack(desired, kept, s.verdicts.list); err != nil {
		s.rec.finish(PhaseConfirm, err)
		return &planned, nil
	}
	if err = s.watch(ctx, planned); err == nil {
		err = s.confirm(ctx, *t)
	}
	s.rec.finish(PhaseConfirm, err)
	if err == nil && settles {
		s.settled()
	}
	return &planned, err
}

func (s *session) settled() {
	s.rec.update(func(st *Status, now time.Time) { st.settle(now) })
}

func (s *session) confirmedLayers() []render.Layer {
	if s.confirmed == nil {
		return nil
	}
	return s.confirmed.Desired.Cluster.Layers
}

// desire returns what to run. With an error it returns the last confirmed
// target, or nil if there is none or nothing may be changed.
func (s *session) desire(rev gitsource.Revision) (*target, error) {
	switch {
	case rev.Commit() == "" && s.confirmed == nil:
		return nil, ErrWaiting
	case rev.Commit() == "":
		return s.confirmed, nil
	}
	known := s.rendered != nil && s.rendered.Commit.Revision == rev.Commit()
	if (!known || s.lacking) && !s.own(rev) {
		return nil, selfupdate.ErrRestart
	}
	if known {
		return s.rendered, nil
	}
	s.rec.enter(PhaseLoad)
	host, err := s.load(rev)
	unregistered := errors.As(err, new(*Unregistered))
	s.waits(unregistered)
	if unregistered {
		err = errors.Join(err, s.checkAhead())
	}
	s.rec.finish(PhaseLoad, err)
	if errors.Is(err, ErrFrozen) {
		return nil, err
	}
	if err != nil {
		return s.confirmed, err
	}
	s.rec.update(func(st *Status, _ time.Time) { st.Site, st.Host = host.Site.Name, host.Name })

	s.rec.enter(PhaseRender)
	desired, err := s.render(rev, host)
	if err == nil {
		err = s.shares(host, desired)
	}
	s.rec.finish(PhaseRender, err)
	if err != nil {
		return s.confirmed, fmt.Errorf("render %s for %s: %w", rev.Short(), host.Name, err)
	}
	plan, err := planBackups(rev.FS(), host.Site.Backup)
	if err != nil {
		return s.confirmed, err
	}
	commit := Commit{
		Revision: rev.Commit(), Signer: rev.Signer().Name, Since: s.Now().UTC().Truncate(time.Millisecond),
		Cluster: desired.Cluster.Digest, Node: desired.Node.Digest,
	}
	s.rendered = &target{
		Commit: commit, Desired: desired, Members: peers.Members(host.Site), Removed: peers.Removed(host.Site), Prune: host.Site.Prune,
		Suspended: host.Site.Suspended, Backup: plan, Maintenance: host.Site.Maintenance, Urgent: s.urgent(rev, host.Site),
	}
	s.renderedAt, s.mayGoBack = time.Now(), s.downgrades(rev)
	s.Log.Info("revision rendered", "revision", rev.Short(), "cluster", desired.Cluster.Digest, "node", desired.Node.Digest)
	return s.rendered, nil
}

func (s *session) render(rev gitsource.Revision, host *fleet.Host) (render.Desired, error) {
	r := render.New(rev.FS(), render.Options{Memo: s.Memo, Worker: s.Worker})
	defer r.Close()
	desired, err := r.Host(host)
	if s.Memo != nil {
		if err := s.Memo.Flush(); err != nil {
			s.Log.Warn("what was rendered is not kept for the next time", "error", err)
		}
	}
	return desired, err
}

func (s *session) fleet(rev gitsource.Revision) (*fleet.Fleet, error) {
	return fleet.LoadWith(rev.FS(), fleet.Options{Pins: s.Source.Pins(rev), Memo: s.Memo})
}

func (s *session) load(rev gitsource.Revision) (*fleet.Host, error) {
	f, err := s.fleet(rev)
	s.proven(rev, err)
	if err != nil {
		return nil, err
	}
	if err := s.fresh.limit(f.Freshness); err != nil {
		s.Log.Error("age of the news not kept", "error", err)
	}
	host, err := f.HostByIdentity(s.Identity)
	if errors.Is(err, fleet.ErrNoHost) && s.confirmed != nil {
		s.admitPeers("", nil)
		return nil, ErrFrozen
	}
	if err != nil {
		return nil, &Unregistered{Fingerprint: s.Fingerprint, err: err}
	}
	if host.State == fleet.Removed {
		s.admitPeers("", nil)
		s.removed = host
		return nil, &removedError{host.File}
	}
	s.removed = nil
	s.rotation.declare(rev, host.Site.Sources)
	s.admitPeers(host.Name, peers.Members(host.Site))
	return host, nil
}

// Unregistered reports a host that waits for its registration commit.
type Unregistered struct {
	Fingerprint string
	err         error
}

func (e *Unregistered) Error() string { return "not registered: " + e.err.Error() }
func (e *Unregistered) Unwrap() error { return e.err }

// Hint says how to register the host.
func (e *Unregistered) Hint() string {
	return "run holdfast register on this host, and commit the file it prints (key " + e.Fingerprint + ")"
}
