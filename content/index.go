package content

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"golang.org/x/sys/unix"

	"github.com/holdfast-fleet/holdfast/durable"
)

// Annotations of entries of an index, as the OCI image specification and
// containerd define them.
const (
	refAnnotation        = "org.opencontainers.image.ref.name"
	containerdAnnotation = "io.containerd.image.name"
)

func parseLayout(data []byte) error {
	var layout struct {
		Version string `json:"imageLayoutVersion"`
	}
	if err := json.Unmarshal(data, &layout); err != nil {
		return fmt.Errorf("parse %s: %w", layoutFile, err)
	}
	if layout.Version != "1.0.0" {
		return fmt.Errorf("%s: version %q is not 1.0.0", layoutFile, layout.Version)
	}
	return nil
}

func (s *Store) readIndex() (*v1.IndexManifest, error) {
	f, err := os.Open(s.path(indexFile))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := readLimited(f)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", f.Name(), err)
	}
	index, err := parseIndex(data)
	if err != nil {
		return nil, fmt.Errorf("parse %s: %w", f.Name(), err)
	}
	seen := map[string]bool{}
	for _, d := range index.Manifests {
		ref := d.Annotations[refAnnotation]
		if r, err := parseReference(ref); err != nil || r.String() != ref || seen[ref] {
			return nil, fmt.Errorf("parse %s: entry %s has no name of its own (%q)", f.Name(), d.Digest, ref)
		}
		seen[ref] = true
	}
	return index, nil
}

// writeIndex replaces the index; the caller holds the lock.
func (s *Store) writeIndex(index *v1.IndexManifest) error {
	if index.Manifests == nil {
		index.Manifests = []v1.Descriptor{}
	}
	data, err := json.Marshal(index)
	if err != nil {
		return err
	}
	if len(data) > maxManifest {
		return fmt.Errorf("index of %d bytes is over the limit of %d", len(data), maxManifest)
	}
	if err := s.step("index"); err != nil {
		return err
	}
	return durable.WriteFile(s.path(indexFile), data, 0o644)
}

// name makes each entry the one that its reference stands for, all at once.
func (s *Store) name(entries []v1.Descriptor) error {
	return s.locked(func() error {
		index, err := s.readIndex()
		if err != nil {
			return err
		}
		for _, e := range entries {
			index.Manifests = slices.DeleteFunc(index.Manifests, func(d v1.Descriptor) bool {
				return d.Annotations[refAnnotation] == e.Annotations[refAnnotation]
			})
			index.Manifests = append(index.Manifests, e)
		}
		slices.SortFunc(index.Manifests, func(a, b v1.Descriptor) int {
			return cmp.Compare(a.Annotations[refAnnotation], b.Annotations[refAnnotation])
		})
		return s.writeIndex(index)
	})
}

// locked runs fn while no other writer of the store, in any process, is in its own.
func (s *Store) locked(fn func() error) error {
	f, err := os.OpenFile(s.path(lockFile), os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := flock(f, unix.LOCK_EX); err != nil {
		return err
	}
	return fn()
}

// flock locks f until it is closed or the process ends.
func flock(f *os.File, how int) error {
	for {
		err := unix.Flock(int(f.Fd()), how)
		if !errors.Is(err, unix.EINTR) {
			return os.NewSyscallError("flock", err)
		}
	}
}

// readLimited reads all of r, and refuses more than maxManifest bytes.
func readLimited(r io.Reader) ([]byte, error) {
	var b bytes.Buffer
	n, err := io.Copy(&b, io.LimitReader(r, maxManifest+1))
	if err != nil {
		return nil, err
	}
	if n > maxManifest {
		return nil, fmt.Errorf("over the limit of %d bytes", maxManifest)
	}
	return b.Bytes(), nil
}
