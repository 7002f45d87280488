package render

import (
	"bytes"
	"io/fs"
	"sync"

	"go.yaml.in/yaml/v3"
	"sigs.k8s.io/kustomize/api/types"

	"github.com/holdfast-fleet/holdfast/fleet"
)

// once is a result that all who ask for it share.
type once[T any] struct {
	sync.Once
	value T
	err   error
}

func (o *once[T]) do(find func() (T, error)) (T, error) {
	o.Do(func() { o.value, o.err = find() })
	return o.value, o.err
}

// onces finds the value of each key once, for all who ask for it.
type onces[K comparable, V any] struct {
	mu sync.Mutex
	by map[K]*once[V]
}

func (o *onces[K, V]) do(key K, find func() (V, error)) (V, error) {
	o.mu.Lock()
	known := o.by[key]
	if known == nil {
		if o.by == nil {
			o.by = map[K]*once[V]{}
		}
		known = new(once[V])
		o.by[key] = known
	}
	o.mu.Unlock()
	return known.do(find)
}

// shelf is what scans found in the files of profiles and bases/, which are read
// by the kustomizations of many sites.
type shelf struct {
	stats, lstats onces[string, fs.FileInfo]
	texts         onces[string, []byte]
	objects       sync.Map // files, and the texts in which nothing but objects was found
	declared      sync.Map // files of kustomizations, and *declared
}

// declared is what a kustomization says. It is not changed.
type declared struct {
	text []byte
	root *yaml.Node
	says *types.Kustomization
}

// shared tells whether a file is one that other sites read as well.
func (f files) shared(name string) bool {
	return f.shelf != nil && (under(name, f.at.profile) || under(name, "bases"))
}

func (f files) Stat(name string) (fs.FileInfo, error) {
	find := func() (fs.FileInfo, error) { return fs.Stat(f.of(name), name) }
	if !f.shared(name) {
		return find()
	}
	return f.shelf.stats.do(name, find)
}

func (f files) Lstat(name string) (fs.FileInfo, error) {
	find := func() (fs.FileInfo, error) { return fs.Lstat(f.of(name), name) }
	if !f.shared(name) {
		return find()
	}
	return f.shelf.lstats.do(name, find)
}

// text returns what is in a file, which is not to be changed.
func (f files) text(name string) ([]byte, error) {
	find := func() ([]byte, error) { return fleet.ReadFile(f.of(name), name, maxFile) }
	if !f.shared(name) {
		return find()
	}
	return f.shelf.texts.do(name, find)
}

// holdsObjects tells that nothing else was found in the text of a file.
func (f files) holdsObjects(name string, text []byte) bool {
	if !f.shared(name) {
		return false
	}
	known, ok := f.shelf.objects.Load(name)
	return ok && bytes.Equal(known.([]byte), text)
}

func (f files) foundObjects(name string, text []byte) {
	if f.shared(name) {
		f.shelf.objects.Store(name, text)
	}
}

// declared is the kustomization in the text of a file, if it was read before.
func (f files) declared(name string, text []byte) *declared {
	if !f.shared(name) {
		return nil
	}
	known, ok := f.shelf.declared.Load(name)
	if !ok || !bytes.Equal(known.(*declared).text, text) {
		return nil
	}
	return known.(*declared)
}

func (f files) declare(name string, d *declared) {
	if f.shared(name) {
		f.shelf.declared.Store(name, d)
	}
}
