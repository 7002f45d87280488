package backup

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/holdfast-fleet/holdfast/fleet"
)

// sendTime is how long one target may take in all.
const sendTime = 6 * time.Hour

// connected is a target, open or not, and what it has.
type connected struct {
	fleet.Target
	Store
	has []Stored
	err error // why it is not open
}

type targets []*connected

// connect opens each target and looks what it has.
func (k *Keeper) connect(ctx context.Context, job Job) targets {
	var list targets
	opener := k.Opener
	opener.Files = job.Files
	for _, t := range job.Plan.To {
		c := &connected{Target: t}
		list = append(list, c)
		if c.Store, c.err = opener.Open(ctx, t); c.err != nil {
			continue
		}
		if c.has, c.err = c.List(ctx); c.err != nil {
			c.err = fmt.Errorf("list what is in %s: %w", t.Name(), c.err)
		}
	}
	return list
}

func (list targets) close() {
	for _, t := range list {
		if t.Store != nil {
			_ = t.Close() // nothing is on its way any more
		}
	}
}

// send brings each target what it lacks, and then takes away what is more than is
// kept, there and on the host. One that fails keeps no other from its own.
func (k *Keeper) send(ctx context.Context, job Job, local *folder, targets targets, state *State) error {
	ours, err := local.List(ctx)
	if err != nil {
		return err
	}
	ours = of(job.Site, ours)
	before := state.Sent
	state.Sent = nil
	var errs []error
	for _, t := range targets {
		sent := Sent{To: t.Name()}
		if was := slices.IndexFunc(before, func(s Sent) bool { return s.To == t.Name() }); was >= 0 {
			sent = before[was]
		}
		if err := k.sendTo(ctx, job, t, ours); err != nil {
			sent.Failed = failure(err, sent.Failed, k.now())
			k.log().Error("backup not sent", "to", t.Name(), "error", err)
			errs = append(errs, err)
		} else {
			sent.Failed = nil
			there := of(job.Site, t.has)
			sent.Count, sent.At = len(there), k.now().UTC().Truncate(time.Second)
			if len(there) > 0 {
				sent.File = there[len(there)-1].String()
			}
		}
		state.Sent = append(state.Sent, sent)
	}
	if len(ours) > 0 {
		for _, s := range surplus(job.Site, ours, job.Plan.Keep, ours[len(ours)-1].Name) {
			errs = append(errs, local.Remove(ctx, s.String()))
		}
	}
	return errors.Join(errs...)
}

func (k *Keeper) sendTo(ctx context.Context, job Job, t *connected, ours []Stored) error {
	if t.err != nil {
		return t.err
	}
	ctx, cancel := context.WithTimeout(ctx, sendTime)
	defer cancel()
	for _, s := range missing(job.Site, ours, of(job.Site, t.has), job.Plan.Keep) {
		began := time.Now()
		if err := k.put(ctx, t, s); err != nil {
			return fmt.Errorf("send %s to %s: %w", s.Name, t.Name(), err)
		}
		t.has = append(slices.DeleteFunc(t.has, func(o Stored) bool { return o.Name == s.Name }), s)
		k.log().Info("backup sent", "file", s.String(), "to", t.Name(), "took", time.Since(began).Round(time.Millisecond))
	}
	if len(ours) == 0 {
		return nil
	}
	for _, s := range surplus(job.Site, t.has, job.Plan.Keep, ours[len(ours)-1].Name) {
		if err := t.Remove(ctx, s.String()); err != nil {
			return fmt.Errorf("remove %s, which is not kept any more, from %s: %w", s.Name, t.Name(), err)
		}
		t.has = slices.DeleteFunc(t.has, func(o Stored) bool { return o.Name == s.Name })
	}
	return nil
}

// missing are those of a site's that a target would keep, and lacks or has in part,
// the newest first.
func missing(site string, ours, theirs []Stored, keep int) []Stored {
	all := slices.DeleteFunc(slices.Clone(theirs), func(t Stored) bool {
		return slices.ContainsFunc(ours, func(o Stored) bool { return o.Name == t.Name })
	})
	all = of(site, append(all, ours...))
	var list []Stored
	for _, s := range slices.Backward(all[max(0, len(all)-keep):]) {
		if slices.Contains(ours, s) && !slices.Contains(theirs, s) {
			list = append(list, s)
		}
	}
	return list
}

func (k *Keeper) put(ctx context.Context, t *connected, s Stored) error {
	path := filepath.Join(k.Dir, s.String())
	if err := checkAs(ctx, path, s.Name); err != nil {
		return err
	}
	from, err := os.Open(path)
	if err != nil {
		return err
	}
	defer from.Close()
	return t.Put(ctx, s.String(), from)
}
