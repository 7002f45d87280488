package content

import (
	"archive/tar"
	"debug/elf"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// programUser is the user and group that an image of a program runs as. They
// are numbers: the image has no /etc/passwd.
const programUser = "65532:65532"

// AddProgram stores an image that runs one static Linux program, as
// /<its base name>, under ref, and returns its digest. The same program gives
// the same digest.
func (s *Store) AddProgram(ref, path string) (string, error) {
	r, err := parseTag(ref)
	if err != nil {
		return "", err
	}
	digest, err := s.addProgram(r, path)
	if err != nil {
		return "", fmt.Errorf("add program as %s: %w", ref, err)
	}
	return digest, nil
}

func (s *Store) addProgram(r reference, path string) (string, error) {
	f, info, err := openRegular(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	if err := checkTitle(info.Name()); err != nil {
		return "", err
	}
	arch, err := staticArch(f)
	if err != nil {
		return "", fmt.Errorf("%s: %w", path, err)
	}
	layer, err := s.put(v1.Hash{}, func(w io.Writer) error { return writeProgramLayer(w, f, info) })
	if err != nil {
		return "", err
	}
	layer.MediaType = types.OCIUncompressedLayer
	epoch := v1.Time{Time: time.Unix(0, 0).UTC()}
	config, err := json.Marshal(v1.ConfigFile{
		Architecture: arch, OS: "linux", Created: epoch,
		RootFS:  v1.RootFS{Type: "layers", DiffIDs: []v1.Hash{layer.Digest}},
		History: []v1.History{{Created: epoch, CreatedBy: "holdfast content add --program"}},
		Config:  v1.Config{Entrypoint: []string{"/" + info.Name()}, User: programUser, WorkingDir: "/"},
	})
	if err != nil {
		return "", err
	}
	manifest := v1.Manifest{SchemaVersion: 2, MediaType: types.OCIManifestSchema1, Layers: []v1.Descriptor{layer}}
	if manifest.Config, err = s.putBytes(config); err != nil {
		return "", err
	}
	manifest.Config.MediaType = types.OCIConfigJSON
	return s.putManifest(r, manifest, &v1.Platform{OS: "linux", Architecture: arch})
}

// writeProgramLayer writes a tar of one executable, with nothing in it that
// depends on when and where it is written.
func writeProgramLayer(w io.Writer, f *os.File, info fs.FileInfo) error {
	tw := tar.NewWriter(w)
	if err := tw.WriteHeader(&tar.Header{
		Typeflag: tar.TypeReg, Name: info.Name(), Size: info.Size(), Mode: 0o755,
		ModTime: time.Unix(0, 0), Format: tar.FormatPAX,
	}); err != nil {
		return err
	}
	if _, err := io.Copy(tw, io.NewSectionReader(f, 0, info.Size())); err != nil {
		return err
	}
	return tw.Close()
}

// staticArch returns the architecture, as Go and OCI call it, of a program
// that needs no dynamic loader.
func staticArch(r io.ReaderAt) (string, error) {
	file, err := elf.NewFile(r)
	if err != nil {
		return "", fmt.Errorf("is no Linux program: %w", err)
	}
	for _, p := range file.Progs {
		if p.Type == elf.PT_INTERP {
			return "", fmt.Errorf("is not static: it needs a dynamic loader (build it with CGO_ENABLED=0)")
		}
	}
	if file.Type != elf.ET_EXEC && file.Type != elf.ET_DYN {
		return "", fmt.Errorf("is no Linux program: its ELF type is %s", file.Type)
	}
	switch {
	case file.Machine == elf.EM_X86_64:
		return "amd64", nil
	case file.Machine == elf.EM_AARCH64:
		return "arm64", nil
	case file.Machine == elf.EM_ARM:
		return "arm", nil
	case file.Machine == elf.EM_RISCV && file.Class == elf.ELFCLASS64:
		return "riscv64", nil
	case file.Machine == elf.EM_PPC64 && file.Data == elf.ELFDATA2LSB:
		return "ppc64le", nil
	case file.Machine == elf.EM_S390:
		return "s390x", nil
	}
	return "", fmt.Errorf("machine %s is not supported", file.Machine)
}
