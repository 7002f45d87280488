package gitsource

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/go-git/go-git/v5/plumbing"

	"github.com/holdfast-fleet/holdfast/trust"
)

// Reset makes commit, 40 hex digits, the floor of the state in o, whatever was
// the floor before: the only way back, for a person on the host. The commit need
// not be in the mirror yet; before it is acted upon, [Repository.Verify] demands
// that a key signed it that the anchor, its parent or itself trusts. It returns
// the floor before, empty if that is not known. The error is [ErrInUse] while a
// repository has the state open.
func Reset(o Options, commit string) (from string, err error) {
	if from, err = reset(o, commit); err != nil {
		return "", fmt.Errorf("reset %s: %w", o.Dir, err)
	}
	return from, nil
}

func reset(o Options, commit string) (string, error) {
	if _, err := parseHash(commit); err != nil {
		return "", &hinted{err, "name the commit in full: 40 hexadecimal digits, as git rev-parse prints them"}
	}
	if _, err := os.Stat(o.Dir); err != nil {
		return "", err
	}
	lock, err := lockState(o.Dir)
	if err != nil {
		return "", err
	}
	defer func() { _ = unlockState(lock) }()
	files := o.floorFiles()
	files.log = slog.New(slog.DiscardHandler)
	next := floor{Commit: commit, Reset: &Override{At: time.Now().UTC().Truncate(time.Second)}}
	for _, path := range files.paths {
		last, err := readFloor(path)
		if err != nil && !errors.Is(err, errFloorDamaged) {
			return "", err
		}
		if last != nil && last.Serial >= next.Serial {
			next.Serial, next.Bound, next.Reset.From = last.Serial+1, last.Bound, last.Commit
		}
	}
	return next.Reset.From, files.write(&next)
}

// settle fills in a floor that a person named, once the mirror holds its commit.
func (r *Repository) settle() error {
	if r.floor == nil || !r.floor.pending() || !r.mirror.has(r.floor.hash()) {
		return nil
	}
	c, err := r.mirror.commit(r.floor.hash())
	if err != nil {
		return err
	}
	signer, err := r.chosen(c)
	if err != nil {
		if isDamage(err) {
			return err
		}
		err = fmt.Errorf("the floor was reset to commit %.12s: %w", r.floor.Commit, err)
		return &hinted{err, cmp.Or(hint(err), resetTip)}
	}
	to := r.court().floor(c, signer, r.floor.Bound)
	to.Reset = r.floor.Reset
	return r.raise(to, &candidate{source: "reset"}, time.Now())
}

// chosen says who vouches for a commit that a person named as the floor, by
// signing it or a tag of it: somebody whom the anchor, the commit's parent or the
// commit itself trusts.
func (r *Repository) chosen(c *commit) (trust.Signer, error) {
	court := r.court()
	rings := []*trust.Keyring{r.anchor}
	trees := []plumbing.Hash{c.tree}
	if len(c.parents) > 0 {
		parent, err := r.mirror.commit(c.parents[0])
		if err != nil {
			return trust.Signer{}, err
		}
		trees = append(trees, parent.tree)
	}
	for _, tree := range trees {
		folder, err := court.trustOf(tree)
		if err != nil {
			return trust.Signer{}, err
		}
		rings = append(rings, folder.keys)
	}
	var vouchers []Voucher
	for _, keys := range rings {
		folder, at := &trustFolder{keys: keys}, latest(c.time, r.floor.Bound)
		vouchers = append(vouchers, court.weigh(folder, c.payload, c.signature, at))
		for _, t := range court.tags.of[c.hash] {
			vouchers = append(vouchers, court.weighTag(folder, t, at))
		}
	}
	signers := good(vouchers)
	if len(signers) == 0 {
		return trust.Signer{}, vouchers[0].err
	}
	return signers[0], court.loads(c.tree, nil, time.Time{})
}
