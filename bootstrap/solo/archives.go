package solo

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/holdfast-fleet/holdfast/bootstrap/system"
)

// ours begins the names of the archives that this package places.
const ours = "holdfast-"

// archives are the distribution's own, by the name that each gets where they
// are imported from. The digest in it tells those of versions apart.
func (n *node) archives() (map[string]string, error) {
	entries, err := os.ReadDir(n.Archives)
	if err != nil {
		return nil, err
	}
	found := map[string]string{}
	for _, e := range entries {
		if name := e.Name(); !strings.HasPrefix(name, ".") {
			found[ours+filepath.Base(n.Archives)+"-"+name] = filepath.Join(n.Archives, name)
		}
	}
	return found, nil
}

func (n *node) archivesPlaced() bool {
	wanted, err := n.archives()
	for name := range wanted {
		if !system.Exists(filepath.Join(n.Images, name)) {
			return false
		}
	}
	return err == nil
}

// placeArchives puts those that are missing where they are imported from. They are
// the same files where the file system allows it.
func (n *node) placeArchives() error {
	wanted, err := n.archives()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(n.Images, 0o755); err != nil {
		return err
	}
	if once := filepath.Join(n.Images, n.Once); n.Once != "" && !system.Exists(once) {
		if err := os.WriteFile(once, nil, 0o600); err != nil {
			return err
		}
	}
	for name, source := range wanted {
		target := filepath.Join(n.Images, name)
		if system.Exists(target) || os.Link(source, target) == nil {
			continue
		}
		if err := copyFile(source, target); err != nil {
			return err
		}
	}
	return nil
}

// copyFile makes a file that only root can read, which is there whole or not at all.
func copyFile(source, target string) error {
	f, err := os.Open(source)
	if err != nil {
		return err
	}
	defer f.Close()
	return system.Place(target, func(w io.Writer) error {
		_, err := io.Copy(w, f)
		return err
	})
}

// dropArchives removes those of other versions, here and where they were unpacked.
func (n *node) dropArchives() error {
	wanted, err := n.archives()
	if err != nil {
		return err
	}
	placed, err := os.ReadDir(n.Images)
	if err != nil {
		return err
	}
	var errs []error
	for _, e := range placed {
		if strings.HasPrefix(e.Name(), ours) && wanted[e.Name()] == "" {
			errs = append(errs, os.Remove(filepath.Join(n.Images, e.Name())))
		}
	}
	unpacked, err := os.ReadDir(filepath.Dir(n.Archives))
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	errs = append(errs, err)
	for _, e := range unpacked {
		if e.Name() != filepath.Base(n.Archives) {
			errs = append(errs, os.RemoveAll(filepath.Join(filepath.Dir(n.Archives), e.Name())))
		}
	}
	return errors.Join(errs...)
}
