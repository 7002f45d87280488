package kubeadm

import (
	"fmt"
	"time"

	"github.com/holdfast-fleet/holdfast/bootstrap/system"
	"github.com/holdfast-fleet/holdfast/fleet"
)

// mayUpgrade refuses what Kubernetes does not support, and for a while what was tried
// in vain. The host goes on as it is then.
func (n *node) mayUpgrade(rec record, now time.Time) error {
	if err := fleet.CheckUpgrade(rec.version(), n.Cluster.Version); err != nil && (!n.Downgrade || older(rec.version(), n.Cluster.Version)) {
		return err
	}
	if f := rec.Failed; !n.Anew && f.of(n) && now.Before(f.again()) && !now.Before(f.At) {
		return system.Refuse(fmt.Sprintf("the upgrade from %s to %s was undone (%s), and is tried again at %s: %s",
			rec.Cluster.Version, n.Cluster.Version, times(f.Times), f.again().UTC().Format(time.RFC3339), f.Why),
			"mend what it says, and it goes on by itself; or let the fleet say another version")
	}
	return nil
}

// older tells whether a version is lower than another.
func older(a, b string) bool { return fleet.VersionOf(a).Compare(fleet.VersionOf(b)) < 0 }

func times(count int) string {
	if count == 1 {
		return "once"
	}
	return fmt.Sprintf("%d times", count)
}

// failure is an upgrade that was undone, for each try may cost the site its API for minutes.
type failure struct {
	To    string    `json:"to"`
	Bin   string    `json:"bin"` // programs
	Why   string    `json:"why"`
	Times int       `json:"times"`
	At    time.Time `json:"at"`
}

// of tells whether it is the one that n is about to try.
func (f *failure) of(n *node) bool { return f != nil && f.To == n.Cluster.Version && f.Bin == n.Bin }

// again is when it may be tried once more: after five minutes, then after twice as
// long each time, up to most of a day.
func (f *failure) again() time.Time {
	return f.At.Add(5 * time.Minute << min(f.Times-1, 8))
}

// fail notes that the upgrade to n was undone.
func (r *record) fail(n *node, why error, now time.Time) {
	count := 1
	if r.Failed.of(n) {
		count = r.Failed.Times + 1
	}
	r.Failed = &failure{n.Cluster.Version, n.Bin, why.Error(), count, now}
}
