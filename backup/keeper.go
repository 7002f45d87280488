package backup

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"syscall"
	"time"

	"github.com/holdfast-fleet/holdfast/durable"
	"github.com/holdfast-fleet/holdfast/fleet"
)

// Job is what there is to back up.
type Job struct {
	Manifest // but for the time
	Plan     fleet.Backup
	Files    map[string][]byte // of the fleet: those that targets name
	// Copy writes what the cluster is made of again into an empty folder.
	Copy func(ctx context.Context, into string) error
}

// same tells whether two jobs are of the same plan and state of the site.
func (j Job) same(o Job) bool {
	return j.Manifest == o.Manifest && reflect.DeepEqual(j.Plan, o.Plan) && reflect.DeepEqual(j.Files, o.Files)
}

// Keeper takes the backups of a host, one at a time, and sends them.
type Keeper struct {
	Dir  string // for backups and what is known of them; see [Dir]
	Disk durable.Disk
	// Opener opens targets; its files are those of the job.
	Opener Opener
	Log    *slog.Logger     // nil discards
	Now    func() time.Time // nil: the machine's clock
}

func (k *Keeper) now() time.Time {
	if k.Now == nil {
		return time.Now()
	}
	return k.Now()
}

func (k *Keeper) log() *slog.Logger {
	if k.Log == nil {
		return slog.New(slog.DiscardHandler)
	}
	return k.Log
}

// Local is the store on the host itself.
func (k *Keeper) Local() Store { return &folder{k.Dir, k.Disk} }

// open returns the store on the host itself, for one at a time.
func (k *Keeper) open() (*folder, func(), error) {
	if err := k.Disk.MkdirAll(k.Dir); err != nil {
		return nil, nil, err
	}
	lock, err := os.OpenFile(filepath.Join(k.Dir, ".lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, nil, err
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, nil, errors.Join(&tip{errors.New("another backup is being taken on this host just now"), "wait for it: holdfast status"}, lock.Close())
	}
	return &folder{k.Dir, k.Disk}, func() {
		// A child that is being started may hold the file open for a moment longer.
		_ = syscall.Flock(int(lock.Fd()), syscall.LOCK_UN)
		lock.Close()
	}, nil
}

// Take takes a backup now, keeps it on the host and sends it where the job says.
// What was there before goes only once there is a newer one, whole. The error is
// for a backup that could not be taken, or not be sent everywhere.
func (k *Keeper) Take(ctx context.Context, job Job) (State, error) { return k.work(ctx, job, true) }

// Send sends what was taken before.
func (k *Keeper) Send(ctx context.Context, job Job) (State, error) { return k.work(ctx, job, false) }

func (k *Keeper) work(ctx context.Context, job Job, takes bool) (State, error) {
	local, unlock, err := k.open()
	if err != nil {
		return State{}, err
	}
	defer unlock()
	before, err := k.readState()
	if err != nil {
		k.log().Warn("what is known of backups is not readable, and written anew", "error", err)
	}
	targets := k.connect(ctx, job)
	defer targets.close()
	state := State{Last: before.Last, Failed: before.Failed, Sent: before.Sent}
	var failed error
	if takes {
		taken, err := k.take(ctx, job, local, targets)
		if err != nil {
			failed = fmt.Errorf("take a backup: %w", err)
			state.Failed = failure(failed, before.Failed, k.now())
			k.log().Error("backup not taken", "error", failed)
		} else {
			state.Last, state.Failed = &taken, nil
			k.log().Info("backup taken", "file", taken.File, "bytes", taken.Size)
		}
	}
	failed = errors.Join(failed, k.send(ctx, job, local, targets, &state))
	state.Next = job.Plan.Next(state.takenAt(), k.now()).UTC().Truncate(time.Second)
	return state, errors.Join(failed, k.writeState(state))
}

func (k *Keeper) readState() (State, error) { return ReadState(filepath.Dir(k.Dir)) }

// take makes the file.
func (k *Keeper) take(ctx context.Context, job Job, local *folder, targets targets) (t Taken, err error) {
	copied := filepath.Join(k.Dir, ".copy")
	defer func() { err = errors.Join(err, k.Disk.RemoveAll(copied)) }()
	if err := errors.Join(k.Disk.RemoveAll(copied), k.sweep()); err != nil {
		return t, err
	}
	if err := k.Disk.MkdirAll(copied); err != nil {
		return t, err
	}
	number, err := k.nextNumber(ctx, job.Site, local, targets)
	if err != nil {
		return t, err
	}
	if err := job.Copy(ctx, copied); err != nil {
		return t, err
	}
	m := job.Manifest
	m.Number = number
	m.Taken = k.now().UTC().Truncate(time.Second)
	fresh := filepath.Join(k.Dir, "new"+partial)
	defer func() { err = errors.Join(err, k.Disk.RemoveAll(fresh)) }()
	out, err := k.Disk.Create(fresh)
	if err != nil {
		return t, err
	}
	digest, err := pack(out, m, copied, job.Plan.Recipients)
	if err := errors.Join(err, out.Sync(), out.Close()); err != nil {
		return t, err
	}
	name := Name{job.Site, number, m.Taken, m.Revision[:min(revisionDigits, len(m.Revision))], digest}
	info, err := os.Stat(fresh)
	if err != nil {
		return t, err
	}
	if err := checkAs(ctx, fresh, name); err != nil {
		return t, err
	}
	if err := errors.Join(k.Disk.Rename(fresh, filepath.Join(k.Dir, name.String())), k.Disk.SyncDir(k.Dir)); err != nil {
		return t, err
	}
	return Taken{name.String(), m.Taken, info.Size(), m.Revision}, nil
}

// sweep removes what attempts left that were cut off.
func (k *Keeper) sweep() error {
	left, err := filepath.Glob(filepath.Join(k.Dir, "*"+partial))
	for _, path := range left {
		err = errors.Join(err, k.Disk.RemoveAll(path))
	}
	return err
}

// nextNumber is higher than that of each backup of the site that can be seen, and of
// the one that its cluster was made of.
func (k *Keeper) nextNumber(ctx context.Context, site string, local *folder, targets targets) (int, error) {
	all, err := local.List(ctx)
	if err != nil {
		return 0, err
	}
	for _, t := range targets {
		all = append(all, t.has...)
	}
	var origin Manifest
	if _, err := durable.ReadJSON(filepath.Join(k.Dir, originFile), &origin); err != nil {
		k.log().Warn("what the cluster was made of is not readable", "error", err)
	}
	newest := 0
	if origin.Site == site {
		newest = origin.Number
	}
	for _, s := range of(site, all) {
		newest = max(newest, s.Number)
	}
	if newest >= maxNumber {
		return 0, &tip{fmt.Errorf("a backup of %s has the number %d, and there is none higher", site, newest), "remove it where it lies: the host did not count that far"}
	}
	return newest + 1, nil
}
