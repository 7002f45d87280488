package gitsource

import (
	"time"

	"golang.org/x/sys/unix"

	"github.com/holdfast-fleet/holdfast/trust"
)

// ahead is how far a commit may be dated ahead of a clock that is right.
const ahead = 24 * time.Hour

// Clock tells the time, and whether it can be relied upon.
type Clock struct {
	Now          func() time.Time // nil: the system's clock
	Synchronised func() bool      // nil: what the kernel says
}

func (c Clock) now() time.Time {
	if c.Now != nil {
		return c.Now()
	}
	return time.Now()
}

// limit is the time that no later commit is judged by, whatever one before it says;
// zero if the clock may be wrong.
func (c Clock) limit() time.Time {
	synchronised := c.Synchronised
	if synchronised == nil {
		synchronised = kernelSynchronised
	}
	if !synchronised() {
		return time.Time{}
	}
	return c.now().Add(ahead).UTC().Truncate(time.Second)
}

// kernelSynchronised is true while something such as an NTP client disciplines the
// clock, see adjtimex(2).
func kernelSynchronised() bool {
	var t unix.Timex
	state, err := unix.Adjtimex(&t)
	return err == nil && state != unix.TIME_ERROR && t.Status&unix.STA_UNSYNC == 0
}

// floor is where a host is that accepts c. A time far in the future, by mistake or
// not, must not make all keys expired for good.
func (j *court) floor(c *commit, signer trust.Signer, bound time.Time) floor {
	f := floor{Commit: c.hash.String(), Tree: c.tree.String(), Time: c.time, Bound: latest(c.time, bound), Signer: signer}
	f.limit(j.limit)
	return f
}

func (f *floor) limit(to time.Time) {
	if !to.IsZero() && f.Bound.After(to) {
		f.Bound = to
	}
}
