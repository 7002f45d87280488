package content

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// WriteArchive streams a tar of an OCI layout that holds images, given as
// reference → digest, for "ctr -n k8s.io images import -". Each is named twice
// in its index: host/path:tag, and host/path@digest, under which containerd's
// CRI looks for images that a pod names by tag and digest. Blobs are verified
// while they are written. The index comes last and only if all were right: an
// archive that ends in an error names no image.
func (s *Store) WriteArchive(w io.Writer, images map[string]string) error {
	return s.WriteArchiveWithout(w, images, nil)
}

// WriteArchiveWithout is [Store.WriteArchive], without blobs that who reads it has: see [Store.Place].
func (s *Store) WriteArchiveWithout(w io.Writer, images map[string]string, without map[string]int64) error {
	index := v1.IndexManifest{SchemaVersion: 2, MediaType: types.OCIImageIndex, Manifests: []v1.Descriptor{}}
	tw := tar.NewWriter(w)
	written := map[v1.Hash]bool{}
	for digest := range without {
		h, err := parseDigest(digest)
		if err != nil {
			return err
		}
		written[h] = true
	}
	for _, ref := range slices.Sorted(maps.Keys(images)) {
		r, err := parseReference(ref)
		if err != nil {
			return err
		}
		if r.digest != "" && r.digest != images[ref] {
			return fmt.Errorf("write archive: %s is not %s", ref, images[ref])
		}
		root, err := s.writeImage(tw, images[ref], written)
		if err != nil {
			return fmt.Errorf("write archive: %s: %w", ref, err)
		}
		index.Manifests = appendNames(index.Manifests, root, r)
	}
	data, err := json.Marshal(index)
	if err != nil {
		return err
	}
	if err := writeEntry(tw, layoutFile, []byte(layoutVersion)); err != nil {
		return err
	}
	if err := writeEntry(tw, indexFile, data); err != nil {
		return err
	}
	return tw.Close()
}

// writeImage writes the blobs of digest that are not in written, and returns
// the descriptor of digest.
func (s *Store) writeImage(tw *tar.Writer, digest string, written map[v1.Hash]bool) (v1.Descriptor, error) {
	h, err := parseDigest(digest)
	if err != nil {
		return v1.Descriptor{}, err
	}
	all, err := s.closure(h)
	if err != nil {
		return v1.Descriptor{}, err
	}
	for _, d := range all {
		if written[d.Digest] {
			continue
		}
		written[d.Digest] = true
		if err := tw.WriteHeader(header(blobsDir+"/"+d.Digest.Hex, d.Size)); err != nil {
			return v1.Descriptor{}, err
		}
		if err := s.copyBlob(tw, d); err != nil {
			return v1.Descriptor{}, err
		}
	}
	return all[0], nil
}

// appendNames adds the entries under which containerd finds an image.
func appendNames(entries []v1.Descriptor, root v1.Descriptor, r reference) []v1.Descriptor {
	if r.tag != "" {
		tagged := root
		tagged.Annotations = map[string]string{containerdAnnotation: r.repo + ":" + r.tag, refAnnotation: r.tag}
		entries = append(entries, tagged)
	}
	fixed := root
	fixed.Annotations = map[string]string{containerdAnnotation: r.repo + "@" + root.Digest.String()}
	return append(entries, fixed)
}

func writeEntry(tw *tar.Writer, name string, data []byte) error {
	if err := tw.WriteHeader(header(name, int64(len(data)))); err != nil {
		return err
	}
	_, err := io.Copy(tw, bytes.NewReader(data))
	return err
}

func header(name string, size int64) *tar.Header {
	return &tar.Header{Typeflag: tar.TypeReg, Name: name, Size: size, Mode: 0o644, ModTime: time.Unix(0, 0), Format: tar.FormatPAX}
}
