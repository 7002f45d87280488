package backup

import (
	"errors"
	"io"
	"path/filepath"

	"github.com/holdfast-fleet/holdfast/durable"
	"github.com/holdfast-fleet/holdfast/secrets"
)

// Pending is a backup that the cluster of a host is to be made of.
type Pending struct {
	Manifest
	Files string // folder of what the distribution needs
}

func pendingDir(dataDir string) string { return filepath.Join(dataDir, "restore") }

// Order opens a backup, and has the agent of a data folder make the cluster of it.
// It is there whole, or not at all.
func Order(disk durable.Disk, dataDir string, from io.Reader, ids ...secrets.Identity) (m Manifest, err error) {
	fresh := pendingDir(dataDir) + partial
	if err := disk.RemoveAll(fresh); err != nil {
		return m, err
	}
	if err := disk.MkdirAll(fresh); err != nil {
		return m, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, disk.RemoveAll(fresh))
		}
	}()
	if m, err = Unpack(disk, from, filepath.Join(fresh, filesDir), ids...); err != nil {
		return m, err
	}
	if err := disk.WriteJSON(filepath.Join(fresh, manifestName), m); err != nil {
		return m, err
	}
	if err := Done(disk, dataDir); err != nil { // of the one that was ordered before
		return m, err
	}
	return m, errors.Join(disk.Rename(fresh, pendingDir(dataDir)), disk.SyncDir(dataDir))
}

// Ordered returns the backup that the cluster is to be made of; nil if there is none.
func Ordered(dataDir string) (*Pending, error) {
	p := Pending{Files: filepath.Join(pendingDir(dataDir), filesDir)}
	found, err := durable.ReadJSON(filepath.Join(pendingDir(dataDir), manifestName), &p.Manifest)
	if err != nil {
		return nil, &damagedError{err}
	}
	if !found {
		return nil, nil
	}
	return &p, nil
}

// IsOrdered tells whether there is one.
func IsOrdered(dataDir string) (bool, error) {
	p, err := Ordered(dataDir)
	return p != nil, err
}

// damagedError reports an order that cannot be read.
type damagedError struct{ err error }

func (e *damagedError) Error() string { return "the backup that is to be restored: " + e.err.Error() }
func (e *damagedError) Unwrap() error { return e.err }

// Hint says how to be rid of it.
func (*damagedError) Hint() string { return "drop it, and order it again: holdfast restore --forget" }

// originFile says what the cluster was made of.
const originFile = "origin.json"

// Restored says that the cluster was made of what was ordered. Backups of it have higher
// numbers, also while no target can be asked for those that there are.
func Restored(disk durable.Disk, dataDir string) error {
	p, err := Ordered(dataDir)
	if err != nil || p == nil {
		return err
	}
	if err := disk.MkdirAll(Dir(dataDir)); err != nil {
		return err
	}
	if err := disk.WriteJSON(filepath.Join(Dir(dataDir), originFile), p.Manifest); err != nil {
		return err
	}
	return Done(disk, dataDir)
}

// Done says that nothing is to be restored any more.
func Done(disk durable.Disk, dataDir string) error {
	// The manifest first: without it nothing is ordered.
	return errors.Join(disk.RemoveAll(filepath.Join(pendingDir(dataDir), manifestName)), disk.RemoveAll(pendingDir(dataDir)), disk.SyncDir(dataDir))
}
