package gitsource

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/hash"

	"github.com/holdfast-fleet/holdfast/durable"
)

// copyFolder holds a copy of each pack of the mirror as of the last accepted
// revision: bytes of their own, so that damage to one leaves the other.
const copyFolder = "copy"

// keepCopy brings the copy up to the mirror. It costs nothing if no pack came.
func (r *Repository) keepCopy() error {
	from, to := r.mirror.packDir(), filepath.Join(r.dir, copyFolder)
	if err := r.disk.MkdirAll(to); err != nil {
		return err
	}
	if err := copyPacks(r.disk, from, to); err != nil {
		return err
	}
	have, err := names(to)
	if err != nil {
		return err
	}
	for name := range have {
		if _, err := os.Lstat(filepath.Join(from, name)); !errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err := r.disk.RemoveAll(filepath.Join(to, name)); err != nil {
			return err
		}
	}
	return r.disk.SyncDir(r.dir)
}

// refill makes an empty mirror what the copy holds, and tells whether the floor
// can be read from it.
func (r *Repository) refill() (bool, error) {
	if r.floor == nil || r.floor.pending() {
		return false, nil
	}
	// Packs that are damaged in the copy too are left out.
	copied := copyPacks(r.disk, filepath.Join(r.dir, copyFolder), r.mirror.packDir())
	if err := errors.Join(r.mirror.dropLonePacks(), r.mirror.syncUp(r.mirror.packDir())); err != nil {
		return false, err
	}
	r.mirror.reopen()
	if err := r.checkTree(r.floor.hash(), r.floor.tree()); err != nil {
		r.log.Warn("copy of the mirror cannot be used", "cause", errors.Join(err, copied))
		return false, nil
	}
	r.log.Info("mirror rebuilt from its copy")
	return true, r.mirror.setRef(floorRef, r.floor.hash())
}

// copyPacks copies the packs, each with its index after it, that the folder to
// does not have. One that is damaged keeps no other from being copied.
func copyPacks(disk durable.Disk, from, to string) error {
	have, err := names(from)
	if err != nil {
		return err
	}
	var errs []error
	for name := range have {
		pack, isPack := strings.CutSuffix(name, ".pack")
		if !isPack || !have[pack+".idx"] {
			continue
		}
		for _, name := range []string{name, pack + ".idx"} {
			if err := copySummed(disk, filepath.Join(from, name), filepath.Join(to, name)); err != nil {
				errs = append(errs, err)
				break
			}
		}
	}
	return errors.Join(append(errs, disk.SyncDir(to))...)
}

// copySummed copies a pack or an index, both of which end in the SHA-1 of what
// comes before, unless it is there already.
func copySummed(disk durable.Disk, from, to string) (err error) {
	if _, err := os.Lstat(to); err == nil {
		return nil
	}
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	info, err := in.Stat()
	if err != nil {
		return err
	}
	half := to + ".half" // not a name that git reads
	out, err := disk.Create(half)
	if err != nil {
		return err
	}
	defer func() {
		if err = errors.Join(err, out.Close()); err != nil {
			err = errors.Join(fmt.Errorf("copy %s: %w", filepath.Base(from), err), disk.RemoveAll(half))
		}
	}()
	sum := hash.New(hash.CryptoType)
	body := info.Size() - int64(sum.Size())
	if _, err := io.Copy(io.MultiWriter(out, sum), io.LimitReader(in, body)); err != nil {
		return err
	}
	tail, err := io.ReadAll(io.LimitReader(in, int64(sum.Size())))
	if err != nil {
		return err
	}
	if !bytes.Equal(tail, sum.Sum(nil)) {
		return errors.New("its checksum is another")
	}
	if _, err := out.Write(tail); err != nil {
		return err
	}
	if err := out.Sync(); err != nil {
		return err
	}
	return disk.Rename(half, to)
}

// names lists a folder; one that is not there is empty.
func names(dir string) (map[string]bool, error) {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	list := make(map[string]bool)
	for _, e := range entries {
		list[e.Name()] = true
	}
	return list, nil
}

// growth bounds what a mirror may hold beyond what it needs.
type growth struct {
	packs int   // number
	bytes int64 // of all packs, beyond twice the largest
}

// overgrown tells that a fresh clone should take the place of the mirror. The
// largest pack stands for what that would be.
func (s *store) overgrown(lim growth) bool {
	have, err := names(s.packDir())
	if err != nil {
		return false
	}
	var total, largest int64
	packs := 0
	for name := range have {
		info, err := os.Stat(filepath.Join(s.packDir(), name))
		if err != nil || !strings.HasSuffix(name, ".pack") {
			continue
		}
		packs, total, largest = packs+1, total+info.Size(), max(largest, info.Size())
	}
	return packs > lim.packs || total > 2*largest+lim.bytes
}

// isClone tells whether a staged pack can be the mirror: it holds the floor, and
// refers to nothing outside.
func (r *Repository) isClone(s *staged) bool {
	return len(s.outside) == 0 && r.floor != nil && s.store.has(r.floor.hash())
}

// replaceMirror puts a fresh clone in the place of a mirror that has grown. Cut in
// the middle, the mirror is missing, and rebuilt from its copy.
func (r *Repository) replaceMirror(s *staged) error {
	r.log.Info("mirror has grown, replaced by a fresh one")
	for _, file := range []string{s.pack, s.index} {
		if err := r.disk.SyncFile(file); err != nil {
			return fmt.Errorf("replace mirror: %w", err)
		}
	}
	for name := range map[string]bool{"incoming": true, "complete": true} {
		if err := r.disk.RemoveAll(filepath.Join(s.store.packDir(), name)); err != nil {
			return fmt.Errorf("replace mirror: %w", err)
		}
	}
	if err := errors.Join(s.store.setRef(floorRef, r.floor.hash()), s.store.syncUp(s.store.packDir())); err != nil {
		return fmt.Errorf("replace mirror: %w", err)
	}
	path := filepath.Join(r.dir, mirrorFolder)
	old := filepath.Join(r.dir, stagingPrefix+"old")
	if err := errors.Join(r.disk.RemoveAll(old), r.disk.Rename(path, old)); err != nil {
		return fmt.Errorf("replace mirror: %w", err)
	}
	if err := r.disk.Rename(s.store.dir, path); err != nil {
		return fmt.Errorf("replace mirror: %w", errors.Join(err, r.disk.Rename(old, path)))
	}
	before := r.mirror
	mirror, err := openStore(r.disk, path)
	if err != nil {
		return err
	}
	before.reopen() // for revisions that are being read
	r.forget(mirror)
	return errors.Join(r.disk.SyncDir(r.dir), r.disk.RemoveAll(old))
}

// forget starts with another mirror: what sources offer is asked for again.
func (r *Repository) forget(mirror *store) {
	r.mirror, r.checked, r.tags = mirror, plumbing.ZeroHash, nil
	r.candidates, r.files = make(map[string]*candidate), make(map[string]*bundleFile)
}
