package content

import (
	"encoding/json"
	"errors"
	"fmt"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

const (
	maxDepth = 4     // indexes within indexes
	maxBlobs = 10000 // that one digest may lead to
)

// document is a manifest or an index; the other one is nil.
type document struct {
	manifest *v1.Manifest
	index    *v1.IndexManifest
}

// children are the documents that an index lists.
func (d document) children() []v1.Descriptor {
	if d.index == nil {
		return nil
	}
	return d.index.Manifests
}

// blobs are the configuration and the layers of a manifest.
func (d document) blobs() []v1.Descriptor {
	if d.manifest == nil {
		return nil
	}
	return append([]v1.Descriptor{d.manifest.Config}, d.manifest.Layers...)
}

func (d document) mediaType() types.MediaType {
	switch {
	case d.index != nil && d.index.MediaType != "":
		return d.index.MediaType
	case d.index != nil:
		return types.OCIImageIndex
	case d.manifest.MediaType != "":
		return d.manifest.MediaType
	}
	return types.OCIManifestSchema1
}

func (d document) artifactType() string {
	if d.manifest == nil {
		return ""
	}
	return d.manifest.ArtifactType
}

// parseDocument reads a manifest or an index. One that could be taken for both
// is refused, so that no two readers see different things under one digest.
func parseDocument(data []byte) (document, error) {
	var probe struct {
		Manifests json.RawMessage `json:"manifests"`
		Config    json.RawMessage `json:"config"`
		Layers    json.RawMessage `json:"layers"`
	}
	if err := json.Unmarshal(data, &probe); err != nil {
		return document{}, err
	}
	switch {
	case probe.Manifests != nil && (probe.Config != nil || probe.Layers != nil):
		return document{}, errors.New("is a manifest and an index at once")
	case probe.Manifests != nil:
		index, err := parseIndex(data)
		return document{index: index}, err
	case probe.Config == nil || probe.Layers == nil:
		return document{}, errors.New("is no image manifest")
	}
	manifest, err := parseManifest(data)
	return document{manifest: manifest}, err
}

func parseManifest(data []byte) (*v1.Manifest, error) {
	var m v1.Manifest
	if err := json.Unmarshal(data, &m); err != nil {
		return nil, err
	}
	if m.SchemaVersion != 2 || m.MediaType != "" && !m.MediaType.IsImage() {
		return nil, fmt.Errorf("is no image manifest (schema version %d, media type %q)", m.SchemaVersion, m.MediaType)
	}
	for _, d := range append([]v1.Descriptor{m.Config}, m.Layers...) {
		if err := checkDescriptor(d); err != nil {
			return nil, err
		}
	}
	return &m, nil
}

func parseIndex(data []byte) (*v1.IndexManifest, error) {
	var index v1.IndexManifest
	if err := json.Unmarshal(data, &index); err != nil {
		return nil, err
	}
	if index.SchemaVersion != 2 || index.MediaType != "" && !index.MediaType.IsIndex() {
		return nil, fmt.Errorf("is no image index (schema version %d, media type %q)", index.SchemaVersion, index.MediaType)
	}
	for _, d := range index.Manifests {
		if err := checkDescriptor(d); err != nil {
			return nil, err
		}
		if !d.MediaType.IsImage() && !d.MediaType.IsIndex() {
			return nil, fmt.Errorf("entry %s has media type %q, which is neither manifest nor index", d.Digest, d.MediaType)
		}
		if d.Size > maxManifest {
			return nil, fmt.Errorf("entry %s: over the limit of %d bytes for a manifest", d.Digest, maxManifest)
		}
	}
	return &index, nil
}

func checkDescriptor(d v1.Descriptor) error {
	if d.Digest.Algorithm != "sha256" {
		return fmt.Errorf("descriptor of %q has no sha256 digest", d.MediaType)
	}
	if d.Size < 0 {
		return fmt.Errorf("descriptor of %s has size %d", d.Digest, d.Size)
	}
	return nil
}

// document returns the verified document of a digest, with its size in bytes.
func (s *Store) document(h v1.Hash) (document, int64, error) {
	data, err := s.readBlob(h)
	if err != nil {
		return document{}, 0, err
	}
	doc, err := parseDocument(data)
	if err != nil {
		return document{}, 0, fmt.Errorf("manifest %s: %w", h, err)
	}
	return doc, int64(len(data)), nil
}

// closure returns every blob that root leads to, root first, each once. The
// documents among them were verified; the others were not read.
func (s *Store) closure(root v1.Hash) ([]v1.Descriptor, error) {
	doc, size, err := s.document(root)
	if err != nil {
		return nil, err
	}
	w := walk{read: s.document, sizes: map[v1.Hash]int64{}}
	if err := w.add(v1.Descriptor{MediaType: doc.mediaType(), Size: size, Digest: root, ArtifactType: doc.artifactType()}); err != nil {
		return nil, err
	}
	if err := w.follow(doc, 0); err != nil {
		return nil, err
	}
	return w.all, nil
}

// walk gathers what a document leads to.
type walk struct {
	read  func(v1.Hash) (document, int64, error)
	all   []v1.Descriptor
	sizes map[v1.Hash]int64
}

func (w *walk) follow(doc document, depth int) error {
	for _, b := range doc.blobs() {
		if err := w.add(b); err != nil {
			return err
		}
	}
	for _, d := range doc.children() {
		if _, known := w.sizes[d.Digest]; known {
			continue
		}
		if depth == maxDepth {
			return fmt.Errorf("index %s: more than %d levels deep", d.Digest, maxDepth)
		}
		if err := w.add(d); err != nil {
			return err
		}
		child, _, err := w.read(d.Digest)
		if err != nil {
			return err
		}
		if err := w.follow(child, depth+1); err != nil {
			return err
		}
	}
	return nil
}

func (w *walk) add(d v1.Descriptor) error {
	size, known := w.sizes[d.Digest]
	switch {
	case known && size != d.Size:
		return fmt.Errorf("blob %s is said to have both %d and %d bytes", d.Digest, size, d.Size)
	case known:
		return nil
	case len(w.all) == maxBlobs:
		return fmt.Errorf("leads to more than %d blobs", maxBlobs)
	}
	w.sizes[d.Digest] = d.Size
	w.all = append(w.all, d)
	return nil
}
