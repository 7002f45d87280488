package content

import (
	"errors"
	"fmt"
	"io"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// AddArchive stores the images of a tar file, as "docker save" and OCI tools
// write it, or of a folder in the OCI layout, such as another store, whose files
// come, too. It returns what it added. Every digest in it is checked. Images
// keep the names they have in it, so those must have explicit hosts.
func (s *Store) AddArchive(path string) ([]Entry, error) {
	entries, err := s.addArchive(path)
	if err != nil {
		return nil, fmt.Errorf("add archive %s: %w", path, err)
	}
	return entries, nil
}

func (s *Store) addArchive(path string) ([]Entry, error) {
	a, err := openArchive(path)
	if err != nil {
		return nil, err
	}
	defer a.Close()
	var named []v1.Descriptor
	switch {
	case a.has(indexFile):
		named, err = s.addLayout(a)
	case a.has("manifest.json"):
		named, err = s.addDocker(a)
	default:
		err = errors.New("is no image archive: it has neither index.json nor manifest.json")
	}
	if err != nil {
		return nil, err
	}
	if len(named) == 0 {
		return nil, errors.New("names no image")
	}
	if err := s.name(named); err != nil {
		return nil, err
	}
	var added []Entry
	for _, d := range named {
		e, err := s.entry(d)
		if err != nil {
			return nil, err
		}
		added = append(added, e)
	}
	return added, nil
}

// addLayout stores the blobs of an OCI layout and returns its named entries.
func (s *Store) addLayout(a *archive) ([]v1.Descriptor, error) {
	data, err := a.read(layoutFile)
	if err != nil {
		return nil, err
	}
	if err := parseLayout(data); err != nil {
		return nil, err
	}
	if data, err = a.read(indexFile); err != nil {
		return nil, err
	}
	index, err := parseIndex(data)
	if err != nil {
		return nil, fmt.Errorf("parse %s: %w", indexFile, err)
	}
	named, err := namedEntries(index)
	if err != nil {
		return nil, err
	}
	copier := walk{sizes: map[v1.Hash]int64{}, read: func(h v1.Hash) (document, int64, error) { return s.copyDocument(a, h) }}
	if err := copier.follow(document{index: &v1.IndexManifest{Manifests: named}}, 0); err != nil {
		return nil, err
	}
	return named, s.copyLayers(a, copier.all)
}

// namedEntries returns the entries of an archive's index under the names the
// store gives them; host/path@digest only for what has no tag.
func namedEntries(index *v1.IndexManifest) ([]v1.Descriptor, error) {
	var named []v1.Descriptor
	tagged := map[string]bool{}     // host/path@digest of entries with a tag
	digests := map[string]v1.Hash{} // by name
	for _, fixed := range []bool{false, true} {
		for _, d := range index.Manifests {
			r, err := nameOf(d)
			if err != nil {
				return nil, err
			}
			bare := r.repo + "@" + d.Digest.String()
			if fixed != (r.tag == "") || fixed && tagged[bare] {
				continue
			}
			tagged[bare] = true
			if other, ok := digests[r.String()]; ok && other != d.Digest {
				return nil, fmt.Errorf("calls both %s and %s %s", other, d.Digest, r)
			}
			digests[r.String()] = d.Digest
			named = append(named, v1.Descriptor{
				MediaType: d.MediaType, Size: d.Size, Digest: d.Digest, Platform: d.Platform, ArtifactType: d.ArtifactType,
				Annotations: map[string]string{refAnnotation: r.String()},
			})
		}
	}
	return named, nil
}

// nameOf reads the name that an entry of an archive's index has.
func nameOf(d v1.Descriptor) (reference, error) {
	name := d.Annotations[containerdAnnotation]
	if name == "" {
		name = d.Annotations[refAnnotation]
	}
	if name == "" {
		return reference{}, fmt.Errorf("entry %s of its index has no name", d.Digest)
	}
	r, err := parseReference(name)
	if err != nil {
		return reference{}, err
	}
	if r.digest != "" && r.digest != d.Digest.String() {
		return reference{}, fmt.Errorf("entry %s of its index is called %s", d.Digest, name)
	}
	r.digest = d.Digest.String()
	return r, nil
}

// copyDocument stores a manifest or an index of a layout.
func (s *Store) copyDocument(a *archive, h v1.Hash) (document, int64, error) {
	data, err := a.read(blobsDir + "/" + h.Hex)
	if err != nil {
		return document{}, 0, err
	}
	doc, err := parseDocument(data)
	if err != nil {
		return document{}, 0, fmt.Errorf("manifest %s: %w", h, err)
	}
	_, err = s.put(h, func(w io.Writer) error {
		_, err := w.Write(data)
		return err
	})
	return doc, int64(len(data)), err
}

// copyLayers stores the blobs of a layout; its documents are stored already.
func (s *Store) copyLayers(a *archive, all []v1.Descriptor) error {
	for _, d := range all {
		r, err := a.find(blobsDir + "/" + d.Digest.Hex)
		if err != nil {
			return err
		}
		if r.Size() != d.Size {
			return fmt.Errorf("blob %s: %w: %d bytes, not %d", d.Digest, ErrDamaged, r.Size(), d.Size)
		}
		if d.MediaType.IsImage() || d.MediaType.IsIndex() {
			continue
		}
		if _, err := s.put(d.Digest, func(w io.Writer) error { _, err := io.Copy(w, r); return err }); err != nil {
			return err
		}
	}
	return nil
}
