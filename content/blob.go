package content

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"golang.org/x/sys/unix"

	"github.com/holdfast-fleet/holdfast/durable"
)

// put stores what write writes. When it returns nil the blob and its name are
// on disk. Bytes that are not those of want, unless it is zero, are ErrDamaged
// and never get a name. A blob that is there already is replaced, which mends it.
func (s *Store) put(want v1.Hash, write func(io.Writer) error) (d v1.Descriptor, err error) {
	tmp, err := s.ingest()
	if err != nil {
		return v1.Descriptor{}, err
	}
	defer func() {
		tmp.Close()
		if err != nil {
			os.Remove(tmp.Name())
		}
	}()
	d, err = s.fill(tmp, write)
	if err != nil {
		return v1.Descriptor{}, err
	}
	if want != (v1.Hash{}) && d.Digest != want {
		return v1.Descriptor{}, fmt.Errorf("blob %s: %w (its bytes are %s)", want, ErrDamaged, d.Digest)
	}
	if err := s.step("rename"); err != nil {
		return v1.Descriptor{}, err
	}
	if err := os.Rename(tmp.Name(), s.blobPath(d.Digest)); err != nil {
		return v1.Descriptor{}, err
	}
	if err := s.step("sync names"); err != nil {
		return v1.Descriptor{}, err
	}
	return d, durable.SyncDir(s.path(blobsDir))
}

// fill writes the bytes of a blob to tmp and syncs them.
func (s *Store) fill(tmp *os.File, write func(io.Writer) error) (v1.Descriptor, error) {
	if err := s.step("write"); err != nil {
		return v1.Descriptor{}, err
	}
	sum := sha256.New()
	if err := write(io.MultiWriter(tmp, sum)); err != nil {
		return v1.Descriptor{}, err
	}
	if err := tmp.Chmod(0o644); err != nil {
		return v1.Descriptor{}, err
	}
	if err := s.step("sync"); err != nil {
		return v1.Descriptor{}, err
	}
	if err := tmp.Sync(); err != nil {
		return v1.Descriptor{}, err
	}
	info, err := tmp.Stat()
	if err != nil {
		return v1.Descriptor{}, err
	}
	return v1.Descriptor{Size: info.Size(), Digest: hashOf(sum)}, nil
}

func (s *Store) putBytes(data []byte) (v1.Descriptor, error) {
	return s.put(v1.Hash{}, func(w io.Writer) error {
		_, err := w.Write(data)
		return err
	})
}

// ingest makes a temporary file, locked for as long as its writer lives, and
// removes those whose writers died.
func (s *Store) ingest() (tmp *os.File, err error) {
	if err := s.step("create"); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(s.path(ingestDir), 0o755); err != nil {
		return nil, err
	}
	err = s.locked(func() error {
		if err := s.sweep(); err != nil {
			return err
		}
		tmp, err = os.CreateTemp(s.path(ingestDir), "blob-*")
		if err != nil {
			return err
		}
		return flock(tmp, unix.LOCK_EX)
	})
	return tmp, err
}

func (s *Store) sweep() error {
	entries, err := os.ReadDir(s.path(ingestDir))
	if err != nil {
		return err
	}
	for _, e := range entries {
		f, err := os.Open(s.path(ingestDir, e.Name()))
		if errors.Is(err, fs.ErrNotExist) {
			continue // its writer has just given it its name
		}
		if err != nil {
			return err
		}
		if flock(f, unix.LOCK_EX|unix.LOCK_NB) == nil {
			os.Remove(f.Name())
		}
		f.Close()
	}
	return nil
}

func (s *Store) blobPath(h v1.Hash) string {
	return s.path(blobsDir, h.Hex)
}

// blob opens what d describes. Its reader returns ErrDamaged in place of
// io.EOF when the bytes read were not the ones meant; until then nothing made
// of them may be published.
func (s *Store) blob(d v1.Descriptor) (io.ReadCloser, error) {
	f, err := os.Open(s.blobPath(d.Digest))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("blob %s: %w", d.Digest, ErrMissing)
	}
	if err != nil {
		return nil, fmt.Errorf("blob %s: %w", d.Digest, err)
	}
	return verify(f, d), nil
}

func verify(f *os.File, d v1.Descriptor) *verified {
	return &verified{f: f, desc: d, left: d.Size, sum: sha256.New()}
}

type verified struct {
	f    *os.File
	desc v1.Descriptor
	left int64 // bytes still to come
	sum  hash.Hash
}

func (v *verified) Read(p []byte) (int, error) {
	n, err := v.f.Read(p)
	v.sum.Write(p[:n])
	v.left -= int64(n)
	switch {
	case v.left < 0:
		return 0, fmt.Errorf("blob %s: %w: longer than %d bytes", v.desc.Digest, ErrDamaged, v.desc.Size)
	case errors.Is(err, io.EOF) && v.left > 0:
		return n, fmt.Errorf("blob %s: %w: %d of %d bytes are missing", v.desc.Digest, ErrDamaged, v.left, v.desc.Size)
	case errors.Is(err, io.EOF) && hashOf(v.sum) != v.desc.Digest:
		return n, fmt.Errorf("blob %s: %w", v.desc.Digest, ErrDamaged)
	}
	return n, err
}

func (v *verified) Close() error { return v.f.Close() }

// check reads all of a blob for its digest alone.
func (s *Store) check(d v1.Descriptor) error {
	return s.copyBlob(io.Discard, d)
}

func (s *Store) copyBlob(w io.Writer, d v1.Descriptor) error {
	r, err := s.blob(d)
	if err != nil {
		return err
	}
	return copyAll(w, r, d.Size)
}

// copyAll copies a blob of a size, and closes it.
func copyAll(w io.Writer, blob io.ReadCloser, size int64) error {
	defer blob.Close()
	// A file, and io.Discard, would read by themselves, in small pieces.
	_, err := io.CopyBuffer(struct{ io.Writer }{w}, blob, make([]byte, max(1, min(size, copyAtOnce))))
	return err
}

// copyAtOnce is how many bytes of a blob are read at once, at most: of small pieces, the system calls cost most.
const copyAtOnce = 256 << 10

// readBlob returns a small blob of which only the digest is known.
func (s *Store) readBlob(h v1.Hash) ([]byte, error) {
	info, err := os.Stat(s.blobPath(h))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("blob %s: %w", h, ErrMissing)
	}
	if err != nil {
		return nil, fmt.Errorf("blob %s: %w", h, err)
	}
	if info.Size() > maxManifest {
		return nil, fmt.Errorf("blob %s: over the limit of %d bytes for a manifest", h, maxManifest)
	}
	var b bytes.Buffer
	if err := s.copyBlob(&b, v1.Descriptor{Digest: h, Size: info.Size()}); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

func hashOf(sum hash.Hash) v1.Hash {
	return v1.Hash{Algorithm: "sha256", Hex: hex.EncodeToString(sum.Sum(nil))}
}

// File opens one file's bytes by their digest alone, "sha256:…". Its reader returns
// [ErrDamaged] in place of io.EOF when they were others.
func (s *Store) File(digest string) (io.ReadCloser, error) {
	d, err := s.describe(digest)
	if err != nil {
		return nil, err
	}
	return s.blob(d)
}

// describe finds out about a blob of which only the digest is known.
func (s *Store) describe(digest string) (v1.Descriptor, error) {
	h, err := parseDigest(digest)
	if err != nil {
		return v1.Descriptor{}, err
	}
	info, err := os.Stat(s.blobPath(h))
	if errors.Is(err, fs.ErrNotExist) {
		return v1.Descriptor{}, fmt.Errorf("%s: %w", digest, ErrMissing)
	}
	if err != nil {
		return v1.Descriptor{}, err
	}
	return v1.Descriptor{Digest: h, Size: info.Size()}, nil
}
