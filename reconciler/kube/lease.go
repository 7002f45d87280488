package kube

import (
	"context"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sys/unix"
	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/holdfast-fleet/holdfast/fleet"
	"github.com/holdfast-fleet/holdfast/reconciler"
)

const leaseName = "applier"

// leaseTimes is how a Lease is held. The zero one is that of defaultTimes.
type leaseTimes struct {
	duration time.Duration // without a sign of life of the holder, after which others take it; whole seconds
	renew    time.Duration // between the holder's signs of life
	look     time.Duration // between looks of those who would like to hold it
	again    time.Duration // after a request that failed
}

func defaultTimes() leaseTimes {
	return leaseTimes{duration: 30 * time.Second, renew: 10 * time.Second, look: 5 * time.Second, again: 2 * time.Second}
}

// safety is how much earlier than others a holder takes its Lease for lost: no
// clock runs slower than another by a tenth.
func (t leaseTimes) safety() time.Duration { return t.duration / 10 }

// clock is time since the machine was started, also while it slept. It is the
// only one that a Lease is judged by: wall clocks of other hosts may be wrong.
type clock func() time.Duration

func sinceBoot() time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &t); err != nil {
		panic(err) // Linux has this clock
	}
	return time.Duration(t.Nano())
}

// tenure says whether this process may write.
type tenure struct {
	now clock

	mu     sync.Mutex
	wanted bool          // by Lead; who never asked writes without
	until  time.Duration // of now
}

// fence returns an error if another host may hold the Lease.
func (c *Cluster) fence() error {
	t := &c.tenure
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.wanted && t.now() >= t.until {
		return reconciler.ErrNotLeader
	}
	return nil
}

// limit lets this process write until then, and no longer.
func (t *tenure) limit(until time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.wanted, t.until = true, until
}

// Lead implements [reconciler.Cluster]. The Lease is holdfast-system/applier.
func (c *Cluster) Lead(ctx context.Context, site, host string) (<-chan reconciler.Leader, error) {
	if site == "" || host == "" {
		return nil, fmt.Errorf("lead site %q as host %q: both need a name", site, host)
	}
	cand := &candidate{cluster: c, site: site, host: host}
	c.tenure.limit(0)
	out := make(chan reconciler.Leader)
	go cand.run(ctx, out)
	return out, nil
}

// candidate is a host that holds the Lease, or would like to.
type candidate struct {
	cluster *Cluster
	site    string
	host    string
	lease   *coordinationv1.Lease // as last read or written; nil: read it first
	seen    sign                  // of another holder
	until   time.Duration         // when a Lease that is held is lost
	leader  reconciler.Leader
	problem string // the last one logged
}

// sign is a sign of life of a holder, and when it was first seen here. What it
// says of the time is compared with what it said before, and nothing else.
type sign struct {
	version string
	at      time.Duration
}

// run competes until ctx ends. Who leads is offered to the reader all the while.
func (a *candidate) run(ctx context.Context, out chan<- reconciler.Leader) {
	defer close(out)
	defer a.release(ctx)
	c := a.cluster
	timer := time.NewTimer(0)
	defer timer.Stop()
	offer := out
	for {
		select {
		case <-ctx.Done():
			return
		case offer <- a.leader:
			offer = nil
		case <-timer.C:
			before := a.leader
			timer.Reset(a.compete(ctx))
			led := a.leader.Host != before.Host || a.leader.Mine != before.Mine
			if led {
				c.log.Info("site led", "site", a.site, "by", a.leader.Host, "mine", a.leader.Mine)
			}
			if led || fmt.Sprint(a.leader.Err) != fmt.Sprint(before.Err) {
				offer = out
			}
		}
	}
}

// compete renews the Lease, or takes it if it is free. It returns how long to wait for the next time.
func (a *candidate) compete(ctx context.Context) time.Duration {
	c := a.cluster
	times := c.lease
	asked := c.tenure.now()
	err := a.try(ctx)
	now := c.tenure.now()
	switch {
	case ctx.Err() != nil:
		return times.again
	case err != nil:
		a.lease = nil
		a.say(err)
		if now >= a.until { // who could not renew it does not know who holds it
			a.leader = reconciler.Leader{Err: err}
			return times.again
		}
		return min(times.again, a.until-now)
	case a.holder() == a.host:
		a.until = asked + times.duration - times.safety()
		a.leader = reconciler.Leader{Host: a.host, Mine: true}
		c.tenure.limit(a.until)
		a.say(nil)
		return times.renew
	default:
		a.until = 0
		c.tenure.limit(0)
		a.leader = reconciler.Leader{Host: a.holder()}
		a.say(nil)
		return times.look
	}
}

func (a *candidate) holder() string {
	if a.lease == nil || a.lease.Spec.HolderIdentity == nil {
		return ""
	}
	return *a.lease.Spec.HolderIdentity
}

// try makes one round: a write if the Lease is held, a read and perhaps a write if not.
func (a *candidate) try(ctx context.Context) error {
	patience := max(a.cluster.lease.renew/2, time.Second)
	if a.leader.Mine { // that it is lost must be known in time
		patience = min(patience, a.until-a.cluster.tenure.now())
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	s, err := a.cluster.session()
	if err != nil {
		return err
	}
	for try := 1; ; try++ {
		if a.lease == nil || a.holder() != a.host || try > 1 {
			if err := a.read(ctx, s); err != nil {
				return err
			}
			if a.taken() {
				return nil
			}
		}
		err := a.write(ctx, s)
		const tries = 3 // somebody else wrote it since it was read
		if try == tries || !apierrors.IsConflict(err) && !apierrors.IsAlreadyExists(err) && !apierrors.IsNotFound(err) {
			return err
		}
	}
}

func (a *candidate) read(ctx context.Context, s *session) error {
	a.lease = nil
	lease := &coordinationv1.Lease{}
	err := s.objects.Client().Get(ctx, client.ObjectKey{Namespace: fleet.SystemNamespace, Name: leaseName}, lease)
	if apierrors.IsNotFound(err) {
		lease = &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{
			Namespace: fleet.SystemNamespace, Name: leaseName, Labels: map[string]string{fleet.SiteLabel: a.site},
		}}
	} else if err != nil {
		return fmt.Errorf("read Lease %s/%s: %w", fleet.SystemNamespace, leaseName, err)
	}
	if owner := lease.Labels[fleet.SiteLabel]; owner != a.site {
		return fmt.Errorf("the Lease %s/%s is of site %q, not %q: %w", fleet.SystemNamespace, leaseName, owner, a.site, reconciler.ErrOtherSite)
	}
	a.lease = lease
	return nil
}

// taken says whether another host holds the Lease, and showed a sign of life in
// its time, by the clock of this machine.
func (a *candidate) taken() bool {
	if a.holder() == "" || a.holder() == a.host { // after a restart, it is still this host's
		return false
	}
	now := a.cluster.tenure.now()
	if a.seen.version != a.lease.ResourceVersion {
		a.seen = sign{a.lease.ResourceVersion, now}
	}
	duration := a.cluster.lease.duration
	if d := a.lease.Spec.LeaseDurationSeconds; d != nil {
		const most = 10 * time.Minute // whatever it says
		duration = min(max(duration, time.Duration(*d)*time.Second), most)
	}
	return now-a.seen.at < duration
}

// write makes the Lease this host's.
func (a *candidate) write(ctx context.Context, s *session) error {
	next := a.lease.DeepCopy()
	now := metav1.NowMicro()
	if a.holder() != a.host {
		transitions := int32(0)
		if t := next.Spec.LeaseTransitions; t != nil {
			transitions = *t + 1
		}
		next.Spec.AcquireTime, next.Spec.LeaseTransitions = &now, &transitions
	}
	seconds := int32(a.cluster.lease.duration / time.Second)
	next.Spec.HolderIdentity, next.Spec.LeaseDurationSeconds, next.Spec.RenewTime = &a.host, &seconds, &now
	if err := s.put(ctx, next); err != nil {
		return fmt.Errorf("write Lease %s/%s: %w", fleet.SystemNamespace, leaseName, err)
	}
	a.lease = next
	return nil
}

// release gives the Lease up, so that others need not wait for it to run out.
func (a *candidate) release(ctx context.Context) {
	a.cluster.tenure.limit(0)
	if a.holder() != a.host {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	s, err := a.cluster.session()
	if err == nil {
		a.lease.Spec.HolderIdentity = new(string)
		err = s.put(ctx, a.lease)
	}
	if err != nil {
		a.cluster.log.Warn("lease not given up; others take it when it has run out", "error", err)
	}
}

// say logs what is new.
func (a *candidate) say(err error) {
	text := ""
	if err != nil {
		text = err.Error()
	}
	if text != "" && text != a.problem {
		a.cluster.log.Warn("lease not renewed", "site", a.site, "error", err)
	}
	a.problem = text
}
