package backup

import (
	"archive/tar"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/holdfast-fleet/holdfast/durable"
	"github.com/holdfast-fleet/holdfast/secrets"
)

// Manifest says what a backup is of. It is the first file in it.
type Manifest struct {
	Format   int       `json:"format"` // 1
	Site     string    `json:"site"`
	Number   int       `json:"number,omitempty"` // that its name has; 0 in those of older programs
	Host     string    `json:"host"`             // that took it
	Taken    time.Time `json:"taken"`
	Revision string    `json:"revision"` // that was confirmed
	Type     string    `json:"type"`     // of distribution
	Version  string    `json:"version"`  // of it
}

const (
	format       = 1
	manifestName = "backup.json"
	// filesDir is where in the archive the files of the distribution are.
	filesDir    = "files"
	maxManifest = 64 << 10
	maxEntries  = 1000
)

// pack writes an archive of a folder, and what it is of, encrypted to recipients.
// It returns the digest of what it wrote.
func pack(w io.Writer, m Manifest, dir string, recipients []string) (digest string, err error) {
	sum := sha256.New()
	sealed, err := secrets.Seal(io.MultiWriter(w, sum), recipients)
	if err != nil {
		return "", err
	}
	archive := tar.NewWriter(sealed)
	m.Format = format
	data, err := json.Marshal(m)
	if err != nil {
		return "", err
	}
	if err := archive.WriteHeader(&tar.Header{Name: manifestName, Mode: 0o600, Size: int64(len(data)), ModTime: m.Taken}); err != nil {
		return "", err
	}
	if _, err := archive.Write(data); err != nil {
		return "", err
	}
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		return packFile(archive, path, filesDir+"/"+filepath.ToSlash(rel), m.Taken)
	})
	if err := errors.Join(err, archive.Close(), sealed.Close()); err != nil {
		return "", err
	}
	return digestOf(sum), nil
}

func packFile(archive *tar.Writer, path, name string, taken time.Time) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%s is not a file", path)
	}
	if err := archive.WriteHeader(&tar.Header{Name: name, Mode: 0o600, Size: info.Size(), ModTime: taken}); err != nil {
		return err
	}
	_, err = io.CopyN(archive, f, info.Size())
	return err
}

// digestOf is what names hold of a digest.
func digestOf(sum interface{ Sum([]byte) []byte }) string {
	return fmt.Sprintf("%x", sum.Sum(nil))[:digestDigits]
}

// errNotWhole reports a file that is no backup, or not all of one.
var errNotWhole = errors.New("not a whole backup")

// Unpack opens a backup and writes its files into a new folder, which it removes
// again where the backup is not whole. An empty folder writes nothing: it checks.
func Unpack(disk durable.Disk, r io.Reader, dir string, ids ...secrets.Identity) (m Manifest, err error) {
	plain, err := secrets.Unseal(r, ids...)
	if err != nil {
		return m, err
	}
	return unpackPlain(disk, plain, dir)
}

func unpackPlain(disk durable.Disk, plain io.Reader, dir string) (m Manifest, err error) {
	if dir != "" {
		if _, err := os.Lstat(dir); err == nil {
			return m, &os.PathError{Op: "mkdir", Path: dir, Err: fs.ErrExist}
		}
		if err := disk.MkdirAll(dir); err != nil {
			return m, err
		}
		defer func() {
			if err != nil {
				err = errors.Join(err, os.RemoveAll(dir))
			}
		}()
	}
	archive := newArchive(plain)
	if m, err = readManifest(archive); err != nil {
		return m, err
	}
	entries := 0
	for {
		h, err := archive.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return m, fmt.Errorf("%w: %w", errNotWhole, err)
		}
		if entries++; entries > maxEntries {
			return m, fmt.Errorf("%w: more than %d files", errNotWhole, maxEntries)
		}
		if err := unpackFile(disk, archive, h, dir); err != nil {
			return m, err
		}
	}
	// Only its end says that nothing was cut off or changed.
	if _, err := io.Copy(io.Discard, plain); err != nil {
		return m, fmt.Errorf("%w: %w", errNotWhole, err)
	}
	if entries == 0 {
		return m, fmt.Errorf("%w: it has no files", errNotWhole)
	}
	return m, nil
}

func newArchive(plain io.Reader) *tar.Reader { return tar.NewReader(plain) }

func readManifest(archive *tar.Reader) (m Manifest, err error) {
	h, err := archive.Next()
	if err != nil || h.Name != manifestName || h.Size > maxManifest {
		return m, errors.Join(fmt.Errorf("%w: it does not begin with %s", errNotWhole, manifestName), err)
	}
	data, err := io.ReadAll(archive)
	if err != nil {
		return m, fmt.Errorf("%w: %w", errNotWhole, err)
	}
	if err := json.Unmarshal(data, &m); err != nil {
		return m, fmt.Errorf("%w: %s: %w", errNotWhole, manifestName, err)
	}
	if m.Format != format {
		return m, &tip{fmt.Errorf("the backup is of format %d, and this program knows %d", m.Format, format), "use the program of the version that made it, or a newer one"}
	}
	if m.Number < 0 || m.Number > maxNumber {
		return m, fmt.Errorf("%w: its number is %d", errNotWhole, m.Number)
	}
	return m, nil
}

// unpackFile writes one file below dir, and no other place.
func unpackFile(disk durable.Disk, archive *tar.Reader, h *tar.Header, dir string) error {
	rel, ok := cutDir(h.Name)
	if !ok || h.Typeflag != tar.TypeReg {
		return fmt.Errorf("%w: %q is not a file of one", errNotWhole, h.Name)
	}
	if dir == "" {
		return wholeOr(io.Copy(io.Discard, archive))
	}
	path := filepath.Join(dir, filepath.FromSlash(rel))
	if _, err := os.Lstat(path); err == nil {
		return fmt.Errorf("%w: it has %q twice", errNotWhole, h.Name)
	}
	if err := disk.MkdirAll(filepath.Dir(path)); err != nil {
		return err
	}
	out, err := disk.Create(path)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, archive)
	if err := errors.Join(err, out.Sync(), out.Close()); err != nil {
		return err
	}
	return syncDirs(disk, filepath.Dir(path), dir)
}

// syncDirs makes the names in at durable, and those of it and of the folders above, up to those in dir.
func syncDirs(disk durable.Disk, at, dir string) error {
	for ; at != dir; at = filepath.Dir(at) {
		if err := disk.SyncDir(at); err != nil {
			return err
		}
	}
	return disk.SyncDir(dir)
}

func wholeOr(_ int64, err error) error {
	if err != nil {
		return fmt.Errorf("%w: %w", errNotWhole, err)
	}
	return nil
}

// cutDir is the path of a file below [filesDir].
func cutDir(name string) (rel string, ok bool) {
	rel, err := filepath.Rel(filesDir, name)
	return rel, err == nil && rel != "." && filepath.IsLocal(rel) && filesDir+"/"+rel == name
}
