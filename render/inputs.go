package render

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"reflect"
	"slices"
	"strings"

	"github.com/holdfast-fleet/holdfast/fleet"
)

// digester is a file system that knows the digest of what is in a file or folder.
type digester interface {
	Digest(name string) (string, error)
}

// input is a kustomization and all that it reads.
type input struct {
	dir   string
	reach reach
	files files
	file  string   // its kustomization.yaml, for errors
	key   string   // digest of what it reads, and of how
	bases []string // folders of bases/ that it reads, sorted
	scan  *scan    // nil if the key was known without
}

// files are those of a site, and of its profile: at a pin, they are from elsewhere.
type files struct {
	fs.FS
	profile fs.FS
	at      reach
	shelf   *shelf // nil: each scan reads for itself
}

func (f files) of(name string) fs.FS {
	if under(name, f.at.profile) || under(name, "bases") {
		return f.profile
	}
	return f.FS
}

func (f files) Open(name string) (fs.File, error)          { return f.of(name).Open(name) }
func (f files) ReadLink(name string) (string, error)       { return fs.ReadLink(f.of(name), name) }
func (f files) ReadFile(name string) ([]byte, error)       { return fs.ReadFile(f.of(name), name) }
func (f files) ReadDir(name string) ([]fs.DirEntry, error) { return fs.ReadDir(f.of(name), name) }

func (f files) digest(name string) (string, error) {
	known, ok := f.of(name).(digester)
	if !ok {
		return "", errors.ErrUnsupported
	}
	return known.Digest(name)
}

// input finds out what the kustomization in dir reads. Those of profiles are
// found out once, because many sites share them; a site's own are held while its
// digests are found.
func (r *Renderer) input(dir string, at reach, p *fleet.Profile) (*input, error) {
	shared := under(dir, at.profile)
	if shared {
		at.site = ""
	}
	f := files{r.fsys, p.FS, at, nil}
	if p.FS == nil {
		f.profile = r.fsys
	}
	f.shelf = r.shelfOf(p, f.profile)
	r.mu.Lock()
	key := folder{p, dir}
	known := r.inputs[key]
	if known == nil && shared {
		known = new(once[*input])
		r.inputs[key] = known
	}
	r.mu.Unlock()
	if known == nil {
		return r.findInput(dir, at, f)
	}
	return known.do(func() (*input, error) { return r.findInput(dir, at, f) })
}

// shelfOf is the shelf of what a profile is read from: there are several where
// profiles are pinned.
func (r *Renderer) shelfOf(p *fleet.Profile, fsys fs.FS) *shelf {
	var key any = p
	if reflect.ValueOf(fsys).Comparable() {
		key = fsys
	}
	s, _ := r.shelves.do(key, func() (*shelf, error) { return &shelf{}, nil })
	return s
}

// hold makes room for the inputs that are a site's own, until they are let go.
func (r *Renderer) hold(site *fleet.Site) (letGo func()) {
	if len(site.Overlays) == 0 {
		return func() {}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, dir := range site.Overlays {
		r.inputs[folder{site.Profile, dir}] = new(once[*input])
	}
	return func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		for _, dir := range site.Overlays {
			delete(r.inputs, folder{site.Profile, dir})
		}
	}
}

// findInput finds out what a kustomization reads, or remembers it as long as the
// folders that it read from stay as they are.
func (r *Renderer) findInput(dir string, at reach, f files) (*input, error) {
	trace := strings.Join([]string{"folders", dir, at.profile, at.site}, "\x00")
	if known, ok := r.memo.Get(trace); ok {
		if name := inputName(dir, at, f, strings.Split(string(known), "\n")); name != "" {
			if found, ok := r.memo.Get(name); ok {
				if words := strings.Split(string(found), "\n"); len(words) >= 2 {
					return &input{dir: dir, reach: at, files: f, key: words[0], file: words[1], bases: words[2:]}, nil
				}
			}
		}
	}
	in, err := scanInput(dir, at, f)
	if err != nil {
		return in, err
	}
	folders := in.scan.outermost()
	if name := inputName(dir, at, f, folders); name != "" {
		r.memo.Put(trace, []byte(strings.Join(folders, "\n")))
		r.memo.Put(name, []byte(strings.Join(append([]string{in.key, in.file}, in.bases...), "\n")))
	}
	return in, err
}

// inputName names what a kustomization reads by the content of all folders that it
// reads from; it is empty if that is not known.
func inputName(dir string, at reach, f files, folders []string) string {
	name := strings.Join([]string{"input", dir, at.profile, at.site}, "\x00")
	for _, folder := range folders {
		digest, err := f.digest(folder)
		if err != nil {
			return ""
		}
		name += "\x00" + folder + " " + digest
	}
	return name
}

// outermost are the folders that were read from, without those that lie in others.
func (s *scan) outermost() []string {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(s.folders)), func(dir string) bool {
		for above := path.Dir(dir); above != "."; above = path.Dir(above) {
			if s.folders[above] {
				return true
			}
		}
		return false
	})
}

func scanInput(dir string, at reach, f files) (*input, error) {
	s := newScan(f, at)
	s.kustomization(dir, place{}, "")
	if len(s.problems) > 0 {
		return nil, errors.Join(s.problems...)
	}
	h := sha256.New()
	fmt.Fprintf(h, "%s %t\n", dir, s.openapi)
	in := &input{dir: dir, reach: at, files: f, scan: s, file: kustomizationFile(s, dir)}
	for _, file := range slices.Sorted(maps.Keys(s.texts)) {
		fmt.Fprintf(h, "%s %x\n", file, sha256.Sum256(s.texts[file]))
		if sealed := s.sealed[file]; sealed != nil {
			fmt.Fprintf(h, " sealed %x\n", sha256.Sum256(sealed))
		}
		if folder := path.Dir(file); under(file, "bases") && !slices.Contains(in.bases, folder) {
			in.bases = append(in.bases, folder)
		}
	}
	in.key = hex.EncodeToString(h.Sum(nil))
	return in, nil
}

func kustomizationFile(s *scan, dir string) string {
	for _, name := range fleet.KustomizationFiles() {
		if file := path.Join(dir, name); s.texts[file] != nil {
			return file
		}
	}
	return dir
}
