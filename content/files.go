package content

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

const (
	titleAnnotation = "org.opencontainers.image.title"
	modeAnnotation  = "dev.holdfast.mode" // permission bits, octal: 0755
	emptyType       = types.MediaType("application/vnd.oci.empty.v1+json")
	bytesType       = types.MediaType("application/octet-stream")
)

// file is one file of an artifact.
type file struct {
	title string // slash-separated, local
	mode  fs.FileMode
	blob  v1.Descriptor
}

// AddFiles stores files as one artifact under ref and returns its digest. Each
// keeps its base name and its permission bits, so the same files give the same
// digest, in any order. They are streamed.
func (s *Store) AddFiles(ref string, paths []string) (string, error) {
	r, err := parseTag(ref)
	if err != nil {
		return "", err
	}
	digest, err := s.addFiles(r, paths)
	if err != nil {
		return "", fmt.Errorf("add files as %s: %w", ref, err)
	}
	return digest, nil
}

func (s *Store) addFiles(r reference, paths []string) (string, error) {
	if len(paths) == 0 {
		return "", errors.New("no files given")
	}
	paths = slices.Clone(paths)
	slices.SortFunc(paths, func(a, b string) int { return strings.Compare(filepath.Base(a), filepath.Base(b)) })
	manifest := v1.Manifest{SchemaVersion: 2, MediaType: types.OCIManifestSchema1, ArtifactType: FilesType}
	for i, p := range paths {
		if i > 0 && filepath.Base(paths[i-1]) == filepath.Base(p) {
			return "", fmt.Errorf("%s and %s have the same name", paths[i-1], p)
		}
		layer, err := s.putFile(p)
		if err != nil {
			return "", err
		}
		manifest.Layers = append(manifest.Layers, layer)
	}
	var err error
	if manifest.Config, err = s.putBytes([]byte("{}")); err != nil {
		return "", err
	}
	manifest.Config.MediaType = emptyType
	return s.putManifest(r, manifest, nil)
}

// putFile stores a regular file as a blob that carries its name and mode.
func (s *Store) putFile(name string) (v1.Descriptor, error) {
	f, info, err := openRegular(name)
	if err != nil {
		return v1.Descriptor{}, err
	}
	defer f.Close()
	if err := checkTitle(info.Name()); err != nil {
		return v1.Descriptor{}, err
	}
	d, err := s.put(v1.Hash{}, func(w io.Writer) error {
		_, err := io.Copy(w, f)
		return err
	})
	if err != nil {
		return v1.Descriptor{}, err
	}
	d.MediaType = bytesType
	d.Annotations = map[string]string{
		titleAnnotation: info.Name(),
		modeAnnotation:  fmt.Sprintf("%04o", info.Mode().Perm()),
	}
	return d, nil
}

// openRegular opens a regular file, following symbolic links.
func openRegular(name string) (*os.File, fs.FileInfo, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, nil, fmt.Errorf("%s is no regular file", name)
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, nil, err
	}
	if info, err = f.Stat(); err != nil {
		f.Close()
		return nil, nil, err
	}
	return f, info, nil
}

// putManifest stores a manifest and names it r.
func (s *Store) putManifest(r reference, m v1.Manifest, platform *v1.Platform) (string, error) {
	data, err := json.Marshal(m)
	if err != nil {
		return "", err
	}
	if len(data) > maxManifest {
		return "", fmt.Errorf("manifest of %d bytes is over the limit of %d", len(data), maxManifest)
	}
	d, err := s.putBytes(data)
	if err != nil {
		return "", err
	}
	d.MediaType, d.ArtifactType, d.Platform = m.MediaType, m.ArtifactType, platform
	d.Annotations = map[string]string{refAnnotation: r.String()}
	return d.Digest.String(), s.name([]v1.Descriptor{d})
}

// parseTag reads a reference under which something can be added.
func parseTag(ref string) (reference, error) {
	r, err := parseReference(ref)
	if err == nil && r.digest != "" {
		err = fmt.Errorf("reference %q: the digest is computed, give a tag", ref)
	}
	return r, err
}

// files returns the verified list of an artifact's files.
func (s *Store) files(h v1.Hash) ([]file, error) {
	doc, _, err := s.document(h)
	if err != nil {
		return nil, err
	}
	if doc.manifest == nil || doc.manifest.ArtifactType != FilesType {
		return nil, fmt.Errorf("manifest %s is no artifact of files", h)
	}
	files, err := parseFiles(doc.manifest)
	if err != nil {
		return nil, fmt.Errorf("manifest %s: %w", h, err)
	}
	return files, nil
}

func parseFiles(m *v1.Manifest) ([]file, error) {
	var files []file
	seen := map[string]bool{}
	for _, layer := range m.Layers {
		f := file{title: layer.Annotations[titleAnnotation], mode: 0o644, blob: layer}
		if err := checkTitle(f.title); err != nil {
			return nil, err
		}
		if seen[f.title] {
			return nil, fmt.Errorf("two files are called %q", f.title)
		}
		seen[f.title] = true
		if text, ok := layer.Annotations[modeAnnotation]; ok {
			mode, err := strconv.ParseUint(text, 8, 32)
			if err != nil || mode > 0o777 {
				return nil, fmt.Errorf("file %q: %q are no permission bits", f.title, text)
			}
			f.mode = fs.FileMode(mode)
		}
		files = append(files, f)
	}
	return files, nil
}

// checkTitle refuses a name that could leave the folder it is extracted into.
func checkTitle(title string) error {
	bad := strings.ContainsFunc(title, func(r rune) bool { return r < ' ' || r == 0x7f || r == '\\' })
	if bad || title == "." || !filepath.IsLocal(title) || path.Clean(title) != title || strings.HasPrefix(title, markerFile) {
		return fmt.Errorf("file name %q is refused", title)
	}
	return nil
}
