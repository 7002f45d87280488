package content

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/holdfast-fleet/holdfast/durable"
)

// large is from how many bytes on it is worth to place a blob.
const large = 1 << 20

// Layers lists the large blobs that images, reference → digest, are made of: digest → bytes.
func (s *Store) Layers(images map[string]string) (map[string]int64, error) {
	layers := map[string]int64{}
	for _, digest := range images {
		h, err := parseDigest(digest)
		if err != nil {
			return nil, err
		}
		all, err := s.closure(h)
		if err != nil {
			return nil, err
		}
		for _, d := range all {
			if d.Size >= large {
				layers[d.Digest.String()] = d.Size
			}
		}
	}
	return layers, nil
}

// Place has the bytes of a blob under another path, too, on disk and verified: as the same file
// where both are on one file system, or else as a copy. What is there already has to be the same:
// other bytes are [ErrDamaged], and stay.
func (s *Store) Place(digest, path string) error {
	blob, err := s.describe(digest)
	if err != nil {
		return err
	}
	dir := filepath.Dir(path)
	if there, err := os.Open(path); !errors.Is(err, fs.ErrNotExist) {
		if err == nil {
			err = copyAll(io.Discard, verify(there, blob), blob.Size)
		}
		return err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	tmp := filepath.Join(filepath.Dir(dir), "."+filepath.Base(path)+".partial") // somebody may look at all that is in the folder
	if err := os.RemoveAll(tmp); err != nil {
		return err
	}
	defer os.Remove(tmp)
	if os.Link(s.blobPath(blob.Digest), tmp) == nil {
		err = s.check(blob)
	} else {
		err = s.copyTo(tmp, blob)
	}
	if err != nil {
		return err
	}
	if err := os.Rename(tmp, path); err != nil {
		return err
	}
	return durable.SyncDir(dir)
}

func (s *Store) copyTo(path string, d v1.Descriptor) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	return errors.Join(s.copyBlob(f, d), f.Sync(), f.Close())
}
