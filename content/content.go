// Package content keeps bytes by digest in a local OCI image layout.
//
// The layout is the one of the OCI image specification v1.1 (image-layout.md):
// oci-layout, index.json and blobs/sha256, one blob a file. Every byte that
// leaves the store was checked against the digest it is known by; a blob that
// does not match is an error that names it. What is added survives a power
// cut: blobs are synced under their names before index.json points to them.
package content

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"golang.org/x/sync/errgroup"

	"github.com/holdfast-fleet/holdfast/durable"
)

// ErrMissing reports content that the store does not have.
var ErrMissing = errors.New("not in the content store")

// ErrDamaged reports a blob whose bytes are not those its digest names.
var ErrDamaged = errors.New("does not match its digest")

// FilesType is the artifact type of files added with AddFiles.
const FilesType = "application/vnd.holdfast.files.v1"

const (
	layoutFile    = "oci-layout"
	layoutVersion = `{"imageLayoutVersion":"1.0.0"}`
	indexFile     = "index.json"
	lockFile      = ".lock"
	ingestDir     = ".ingest"
	blobsDir      = "blobs/sha256"
	maxManifest   = 4 << 20 // bytes of a manifest, an index or an image's configuration
)

// Store is an OCI image layout in a folder. Any number of processes may read
// it and add to it at once.
type Store struct {
	dir    string
	before func(step string) error // nil, or told of each step of a write before it is taken
}

// Entry is one name of the store and what it stands for.
type Entry struct {
	Ref      string `json:"ref"`
	Digest   string `json:"digest"`
	Kind     string `json:"kind"`               // "image", "index", "files" or a foreign artifact's type
	Platform string `json:"platform,omitempty"` // os/architecture of an image
	Size     int64  `json:"size"`               // bytes of all its blobs
}

// Open opens the store in dir and makes an empty one if dir is missing or
// empty. A complete store is not written to, so it may be on read-only media.
func Open(dir string) (*Store, error) {
	s := &Store{dir: dir}
	if err := s.open(); err != nil {
		return nil, fmt.Errorf("open content store %s: %w", dir, err)
	}
	return s, nil
}

func (s *Store) open() error {
	f, err := os.Open(s.path(layoutFile))
	if errors.Is(err, fs.ErrNotExist) {
		return s.create()
	}
	if err != nil {
		return err
	}
	defer f.Close()
	data, err := readLimited(f)
	if err != nil {
		return err
	}
	if err := parseLayout(data); err != nil {
		return err
	}
	_, err = s.readIndex()
	return err
}

// create lays out an empty store; oci-layout comes last, so that a layout which
// has it is complete. Several may create the same store at once.
func (s *Store) create() error {
	entries, err := os.ReadDir(s.dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, e := range entries {
		switch name := e.Name(); {
		case name == "blobs", name == indexFile, name == layoutFile, strings.HasPrefix(name, "."):
		default:
			return fmt.Errorf("%s is no content store and not empty (it has %s)", s.dir, name)
		}
	}
	for _, dir := range []string{blobsDir, ingestDir} {
		if err := os.MkdirAll(s.path(dir), 0o755); err != nil {
			return err
		}
	}
	return s.locked(func() error {
		if _, err := os.Stat(s.path(indexFile)); errors.Is(err, fs.ErrNotExist) {
			if err := s.writeIndex(&v1.IndexManifest{SchemaVersion: 2, MediaType: types.OCIImageIndex}); err != nil {
				return err
			}
		}
		for _, dir := range []string{s.path("blobs"), filepath.Dir(s.dir)} {
			if err := durable.SyncDir(dir); err != nil {
				return err
			}
		}
		if err := s.step("layout"); err != nil {
			return err
		}
		return durable.WriteFile(s.path(layoutFile), []byte(layoutVersion), 0o644)
	})
}

// Digest returns the digest that ref stands for, after checking that its
// manifest is there and whole. The error is ErrMissing, naming ref, if the
// store does not know it. A reference without tag and digest means the tag latest.
func (s *Store) Digest(ref string) (string, error) {
	r, err := parseReference(ref)
	if err != nil {
		return "", err
	}
	index, err := s.readIndex()
	if err != nil {
		return "", err
	}
	for _, d := range index.Manifests {
		if r.names(d) {
			_, _, err := s.document(d.Digest)
			return d.Digest.String(), err
		}
	}
	return "", fmt.Errorf("%s: %w", ref, ErrMissing)
}

// List returns the store's names in order. Entries of damaged content have no
// size; the error names each.
func (s *Store) List() ([]Entry, error) {
	index, err := s.readIndex()
	if err != nil {
		return nil, err
	}
	var damaged []error
	entries := []Entry{}
	for _, d := range index.Manifests {
		e, err := s.entry(d)
		if err != nil {
			damaged = append(damaged, fmt.Errorf("%s: %w", e.Ref, err))
		}
		entries = append(entries, e)
	}
	return entries, errors.Join(damaged...)
}

func (s *Store) entry(d v1.Descriptor) (Entry, error) {
	e := Entry{Ref: d.Annotations[refAnnotation], Digest: d.Digest.String(), Kind: kindOf(d)}
	if d.Platform != nil {
		e.Platform = d.Platform.OS + "/" + d.Platform.Architecture
	}
	all, err := s.closure(d.Digest)
	if err != nil {
		return e, err
	}
	for _, b := range all {
		e.Size += b.Size
	}
	return e, nil
}

func kindOf(d v1.Descriptor) string {
	switch {
	case d.ArtifactType == FilesType:
		return "files"
	case d.ArtifactType != "":
		return d.ArtifactType
	case d.MediaType.IsIndex():
		return "index"
	}
	return "image"
}

// Verify reads everything that the digests name, and reports each blob that is
// missing (ErrMissing) or not what its digest says (ErrDamaged). What several of them
// have, such as a layer that images share, it reads once.
func (s *Store) Verify(digests ...string) error {
	type use struct {
		blob   v1.Descriptor
		digest string // that it is of
	}
	var all []use
	known := map[v1.Hash]int64{}
	for _, digest := range digests {
		root, err := parseDigest(digest)
		if err != nil {
			return err
		}
		blobs, err := s.closure(root)
		if err != nil {
			return fmt.Errorf("verify %s: %w", digest, err)
		}
		for _, d := range blobs {
			if size, ok := known[d.Digest]; ok && size == d.Size {
				continue
			}
			known[d.Digest] = d.Size
			all = append(all, use{d, digest})
		}
	}
	bad := make([]error, len(all))
	var g errgroup.Group
	g.SetLimit(readersAtOnce)
	for i, u := range all {
		g.Go(func() error {
			if err := s.check(u.blob); err != nil {
				bad[i] = fmt.Errorf("verify %s: %w", u.digest, err)
			}
			return nil
		})
	}
	_ = g.Wait() // each has its own error
	return errors.Join(bad...)
}

// readersAtOnce bounds how many blobs are read side by side: hashing is what takes time.
const readersAtOnce = 2

func (s *Store) path(elem ...string) string {
	return filepath.Join(append([]string{s.dir}, elem...)...)
}

func (s *Store) step(name string) error {
	if s.before == nil {
		return nil
	}
	return s.before(name)
}
