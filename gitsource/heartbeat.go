package gitsource

import (
	"time"

	"github.com/go-git/go-git/v5/plumbing"

	"github.com/holdfast-fleet/holdfast/trust"
)

// HeartbeatTag is the name of the signed tag that says: this commit was the
// newest of the fleet at this time. It is moved, so that there is only one.
const HeartbeatTag = trust.HeartbeatTag

// heartbeat is what was found out about the heartbeats of all candidates.
type heartbeat struct {
	tags  *tagIndex // with which
	floor string    // and at which floor
	time  time.Time // of the newest, as signed; zero if none counts
}

// heard returns the signed time of the newest heartbeat that counts: signed by a
// key that the floor trusts, of a commit that the host has reached or that a
// source led it to. One of a commit that is not to be had is a sign that
// something is held back.
func (r *Repository) heard() (time.Time, error) {
	court := r.court()
	if r.beat.tags == court.tags && r.beat.floor == r.floor.Commit {
		return r.beat.time, nil
	}
	folder, err := court.trustOf(r.floor.tree())
	if err != nil {
		return time.Time{}, err
	}
	beat := heartbeat{tags: court.tags, floor: r.floor.Commit}
	for _, t := range court.tags.list {
		if t.name != HeartbeatTag || !t.time.After(beat.time) {
			continue
		}
		if v := court.weighTag(folder, t, r.floor.Bound); v.err != nil {
			r.log.Warn("heartbeat refused", "commit", t.target.String(), "reason", v.err)
			continue
		}
		known, err := r.leadsTo(t.target)
		if err != nil {
			return time.Time{}, err
		}
		if !known {
			r.log.Warn("heartbeat names a commit that no source leads to", "commit", t.target.String(), "time", t.time)
			continue
		}
		beat.time = t.time
	}
	r.beat = beat
	return beat.time, nil
}

// leadsTo tells whether a commit is the floor, or before it, or on the way to a
// tip that was not refused.
func (r *Repository) leadsTo(target plumbing.Hash) (bool, error) {
	tips := []plumbing.Hash{r.floor.hash()}
	for _, c := range r.ordered() {
		if c.refuse == nil {
			tips = append(tips, c.tip)
		}
	}
	for _, tip := range tips {
		if tip == target {
			return true, nil
		}
		c, err := r.mirror.commit(tip)
		if err != nil {
			return false, err
		}
		if found, err := r.mirror.reaches(c, target); found || err != nil {
			return found, err
		}
	}
	return false, nil
}
