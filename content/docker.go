package content

import (
	"compress/gzip"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// dockerImage is an entry of manifest.json, as "docker save" writes it
// (Docker image specification v1.2).
type dockerImage struct {
	Config   string
	RepoTags []string
	Layers   []string
}

func parseDocker(data []byte) ([]dockerImage, error) {
	var images []dockerImage
	if err := json.Unmarshal(data, &images); err != nil {
		return nil, fmt.Errorf("parse manifest.json: %w", err)
	}
	for _, image := range images {
		for _, tag := range image.RepoTags {
			if _, err := parseTag(tag); err != nil {
				return nil, err
			}
		}
	}
	return images, nil
}

// addDocker stores the images that manifest.json names, as OCI images.
func (s *Store) addDocker(a *archive) ([]v1.Descriptor, error) {
	data, err := a.read("manifest.json")
	if err != nil {
		return nil, err
	}
	images, err := parseDocker(data)
	if err != nil {
		return nil, err
	}
	var named []v1.Descriptor
	for _, image := range images {
		d, err := s.addDockerImage(a, image)
		if err != nil {
			return nil, fmt.Errorf("image %s: %w", image.Config, err)
		}
		for _, tag := range image.RepoTags {
			r, err := parseTag(tag)
			if err != nil {
				return nil, err
			}
			d.Annotations = map[string]string{refAnnotation: r.String()}
			named = append(named, d)
		}
	}
	return named, nil
}

func (s *Store) addDockerImage(a *archive, image dockerImage) (v1.Descriptor, error) {
	data, err := a.read(image.Config)
	if err != nil {
		return v1.Descriptor{}, err
	}
	var config v1.ConfigFile
	if err := json.Unmarshal(data, &config); err != nil {
		return v1.Descriptor{}, fmt.Errorf("parse %s: %w", image.Config, err)
	}
	if len(config.RootFS.DiffIDs) != len(image.Layers) {
		return v1.Descriptor{}, fmt.Errorf("has %d layers, but its configuration names %d", len(image.Layers), len(config.RootFS.DiffIDs))
	}
	manifest := v1.Manifest{SchemaVersion: 2, MediaType: types.OCIManifestSchema1, Layers: []v1.Descriptor{}}
	for i, name := range image.Layers {
		layer, err := s.addDockerLayer(a, name, config.RootFS.DiffIDs[i])
		if err != nil {
			return v1.Descriptor{}, fmt.Errorf("layer %s: %w", name, err)
		}
		manifest.Layers = append(manifest.Layers, layer)
	}
	if manifest.Config, err = s.putBytes(data); err != nil {
		return v1.Descriptor{}, err
	}
	manifest.Config.MediaType = types.OCIConfigJSON
	if data, err = json.Marshal(manifest); err != nil {
		return v1.Descriptor{}, err
	}
	d, err := s.putBytes(data)
	d.MediaType, d.Platform = types.OCIManifestSchema1, config.Platform()
	return d, err
}

// addDockerLayer stores a layer, plain or compressed by gzip, whose plain bytes
// are those of diffID.
func (s *Store) addDockerLayer(a *archive, name string, diffID v1.Hash) (v1.Descriptor, error) {
	r, err := a.find(name)
	if err != nil {
		return v1.Descriptor{}, err
	}
	zipped, err := isGzip(r)
	if err != nil {
		return v1.Descriptor{}, err
	}
	want := diffID
	if zipped {
		if err := checkPlain(r, diffID); err != nil {
			return v1.Descriptor{}, err
		}
		want = v1.Hash{}
	}
	if _, err := r.Seek(0, io.SeekStart); err != nil {
		return v1.Descriptor{}, err
	}
	d, err := s.put(want, func(w io.Writer) error {
		_, err := io.Copy(w, r)
		return err
	})
	d.MediaType = types.OCIUncompressedLayer
	if zipped {
		d.MediaType = types.OCILayer
	}
	return d, err
}

func isGzip(r *io.SectionReader) (bool, error) {
	magic := make([]byte, 2)
	n, err := r.ReadAt(magic, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return false, err
	}
	return n == 2 && magic[0] == 0x1f && magic[1] == 0x8b, nil
}

func checkPlain(r io.Reader, want v1.Hash) error {
	z, err := gzip.NewReader(r)
	if err != nil {
		return err
	}
	sum := sha256.New()
	if _, err := io.Copy(sum, z); err != nil { //nolint:gosec // nothing of it is kept, whatever it grows to
		return err
	}
	if got := hashOf(sum); got != want {
		return fmt.Errorf("%w: its plain bytes are %s, not %s", ErrDamaged, got, want)
	}
	return nil
}
