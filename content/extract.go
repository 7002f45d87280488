package content

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"github.com/holdfast-fleet/holdfast/durable"
)

// markerFile says of which artifact a folder is the complete extract.
const markerFile = ".holdfast-content"

// Extract puts the files of an artifact, verified while they are read, into
// dir with their modes: all of them, or dir does not change. A dir that is
// already their complete extract is left alone, one of which files are missing
// or have another size is made anew, and any other that is not empty is refused.
func (s *Store) Extract(digest, dir string) error {
	h, err := parseDigest(digest)
	if err != nil {
		return err
	}
	dir = filepath.Clean(dir)
	files, err := s.files(h)
	if err == nil && !extracted(dir, digest, files) {
		err = s.extract(digest, dir, files)
	}
	if err != nil {
		return fmt.Errorf("extract %s into %s: %w", digest, dir, err)
	}
	return nil
}

// extracted says whether dir is the complete extract of digest.
func extracted(dir, digest string, files []file) bool {
	if !marked(dir, digest) {
		return false
	}
	for _, f := range files {
		info, err := os.Lstat(filepath.Join(dir, filepath.FromSlash(f.title)))
		if err != nil || !info.Mode().IsRegular() || info.Size() != f.blob.Size || info.Mode().Perm() != f.mode {
			return false
		}
	}
	return true
}

func marked(dir, digest string) bool {
	f, err := os.Open(filepath.Join(dir, markerFile))
	if err != nil {
		return false
	}
	defer f.Close()
	data, err := readLimited(f)
	return err == nil && string(data) == digest+"\n"
}

// extract fills a folder beside dir and puts it in dir's place. A lock on the
// parent folder keeps others away from it; what a dead one left is removed.
func (s *Store) extract(digest, dir string, files []file) error {
	parent := filepath.Dir(dir)
	if err := os.MkdirAll(parent, 0o755); err != nil {
		return err
	}
	lock, err := os.Open(parent)
	if err != nil {
		return err
	}
	defer lock.Close()
	if err := flock(lock, unix.LOCK_EX); err != nil {
		return err
	}
	if extracted(dir, digest, files) {
		return nil
	}
	tmp := filepath.Join(parent, "."+filepath.Base(dir)+".partial")
	if err := os.RemoveAll(tmp); err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	if err := s.fillFolder(tmp, digest, files); err != nil {
		return err
	}
	if err := s.step("place"); err != nil {
		return err
	}
	if err := place(tmp, dir, digest); err != nil {
		return err
	}
	return durable.SyncDir(parent)
}

// fillFolder makes dir the complete extract of digest, on disk.
func (s *Store) fillFolder(dir, digest string, files []file) error {
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	folders := map[string]bool{dir: true}
	written := map[string]string{} // by blob and mode: a program of many names is there once
	links := map[string]string{}   // name → of the file that it is
	var g errgroup.Group
	g.SetLimit(readersAtOnce)
	for _, f := range files {
		target := filepath.Join(dir, filepath.FromSlash(f.title))
		for d := filepath.Dir(target); !folders[d]; d = filepath.Dir(d) {
			folders[d] = true
		}
		if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
			return errors.Join(err, g.Wait())
		}
		same := f.blob.Digest.String() + f.mode.String()
		if first := written[same]; first != "" {
			links[target] = first
			continue
		}
		written[same] = target
		g.Go(func() error { return s.extractFile(target, f) })
	}
	if err := g.Wait(); err != nil {
		return err
	}
	for target, first := range links {
		if err := os.Link(first, target); err != nil {
			return err
		}
	}
	if err := durable.WriteFile(filepath.Join(dir, markerFile), []byte(digest+"\n"), 0o444); err != nil {
		return err
	}
	for d := range folders {
		if err := durable.SyncDir(d); err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) extractFile(target string, f file) error {
	if err := s.step("extract"); err != nil {
		return err
	}
	out, err := os.OpenFile(target, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer out.Close()
	if err := s.copyBlob(out, f.blob); err != nil {
		return err
	}
	if err := out.Chmod(f.mode); err != nil {
		return err
	}
	if err := out.Sync(); err != nil {
		return err
	}
	return out.Close()
}

// place gives tmp the name dir: a missing or empty dir is replaced, a damaged
// extract of the same digest is exchanged with it at once.
func place(tmp, dir, digest string) error {
	if marked(dir, digest) {
		return unix.Renameat2(unix.AT_FDCWD, tmp, unix.AT_FDCWD, dir, unix.RENAME_EXCHANGE)
	}
	err := os.Remove(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("something else is there: %w", err)
	}
	return os.Rename(tmp, dir)
}
