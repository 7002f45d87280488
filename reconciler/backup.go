package reconciler

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"
	"time"

	"github.com/holdfast-fleet/holdfast/backup"
	"github.com/holdfast-fleet/holdfast/durable"
	"github.com/holdfast-fleet/holdfast/fleet"
)

// Backups is told what there is to back up on this host, if it applies to its site.
type Backups interface {
	Set(job *backup.Job) // nil: nothing
}

// backupPlan is how a site is backed up, with the files that this takes: credentials
// as they are encrypted.
type backupPlan struct {
	fleet.Backup
	Files map[string][]byte `json:"files,omitempty"`
}

// planBackups reads the files that targets name.
func planBackups(fsys fs.FS, b fleet.Backup) (backupPlan, error) {
	plan := backupPlan{Backup: b}
	for _, t := range b.To {
		for _, name := range append(t.Files(), t.Credentials) {
			if name == "" {
				continue
			}
			data, err := fleet.ReadFile(fsys, name, fleet.MaxFileSize)
			if err != nil {
				return plan, err
			}
			if plan.Files == nil {
				plan.Files = map[string][]byte{}
			}
			plan.Files[name] = data
		}
	}
	return plan, nil
}

// backUp says whether this host backs its site up, which is as t has it.
func (s *session) backUp(t target, mine bool) {
	if s.Backups == nil || !mine || !t.Backup.On() {
		s.noBackups()
		return
	}
	job, err := t.backupJob(s.Dir, s.Driver)
	if err != nil {
		s.Log.Error("site is not backed up", "error", err)
		return
	}
	if s.confirmed != nil {
		job.Revision = s.confirmed.Commit.Revision
	}
	s.Backups.Set(&job)
}

func (t *target) backupJob(dir string, driverOf func(kind string) (Driver, error)) (backup.Job, error) {
	dist, err := fleet.ParseDistribution(t.Desired.Node.Distribution)
	if err != nil {
		return backup.Job{}, err
	}
	driver, err := driverOf(dist.Type)
	return backup.Job{
		Manifest: backup.Manifest{Site: t.Desired.Site, Host: t.Desired.Host, Revision: t.Commit.Revision, Type: dist.Type, Version: dist.Version},
		Plan:     t.Backup.Backup, Files: t.Backup.Files,
		Copy: func(ctx context.Context, into string) error { return driver.Backup(ctx, dir+"/"+dist.Type, into) },
	}, err
}

// ReadBackupJob returns what there is to back up on the host of a data folder, as of
// what it last confirmed.
func ReadBackupJob(dir string, driverOf func(kind string) (Driver, error)) (backup.Job, error) {
	t, err := loadConfirmed(dir)
	if err == nil && t == nil {
		err = errNothingYet
	}
	if err != nil {
		return backup.Job{}, err
	}
	return t.backupJob(dir, driverOf)
}

var errNothingYet = errors.New("this host has confirmed no revision yet")

// ForgetCluster removes what the agent of a data folder knows of a cluster that was taken apart.
func ForgetCluster(dir string) error {
	var disk durable.Disk
	return errors.Join(disk.RemoveAll(filepath.Join(dir, confirmedFile)), disk.RemoveAll(filepath.Join(dir, inventoryFile)), disk.SyncDir(dir))
}

func (s *session) noBackups() {
	if s.Backups != nil {
		s.Backups.Set(nil)
	}
}

// ordered is the folder of what the cluster of t is to be made of again; empty where
// nobody has ordered that.
func (s *session) ordered(t target, dist fleet.Distribution) (from string, err error) {
	p, err := backup.Ordered(s.Dir)
	if err != nil || p == nil {
		return "", err
	}
	if p.Site != t.Desired.Site || p.Type != dist.Type {
		return "", &wrongBackup{*p, t.Desired.Site, dist.Type}
	}
	s.Log.Info("cluster is restored", "taken", p.Taken.Format(time.RFC3339), "host", p.Host, "revision", p.Revision)
	return p.Files, nil
}

// restored forgets the order, and what this host knew to be in the cluster.
func (s *session) restored() error {
	clear(s.applied)
	s.Log.Info("cluster restored")
	return backup.Restored(s.Disk, s.Dir)
}

// wrongBackup reports one that was ordered to be restored where it does not belong.
type wrongBackup struct {
	backup.Pending
	site, kind string
}

func (w *wrongBackup) Error() string {
	return "the backup that is to be restored is of site " + w.Site + " and type " + w.Type + ", and this host is at " + w.site + ", whose type is " + w.kind
}

// Hint says how to go on.
func (w *wrongBackup) Hint() string {
	return "register the host at that site; or order another backup; or drop this one: holdfast restore --forget"
}
