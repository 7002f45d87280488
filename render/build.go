package render

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"sync"

	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/api/resmap"
	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/kustomize/kyaml/openapi"

	"github.com/holdfast-fleet/holdfast/fleet"
)

// kustomize keeps the OpenAPI schema that it merges by in globals: one build
// at a time, and none may see what another left there.
var kustomizeLock sync.Mutex

// built is what kustomize made of a folder, before variables.
type built struct {
	objects []object
	texts   map[string][]byte // the files it was made of, by path
	file    string            // its kustomization, for errors
}

// builder builds kustomizations of one fleet. It remembers those of profiles,
// because many sites share them.
type builder struct {
	fsys   fs.FS
	shared map[string]built // by folder
}

func newBuilder(fsys fs.FS) *builder { return &builder{fsys: fsys, shared: map[string]built{}} }

// close frees the schema that kustomize keeps once it has merged a patch.
func (b *builder) close() {
	kustomizeLock.Lock()
	defer kustomizeLock.Unlock()
	openapi.ResetOpenAPI()
}

// build builds the kustomization in dir with what is in reach.
func (b *builder) build(dir string, r reach) (built, error) {
	isShared := under(dir, r.profile)
	if isShared {
		if done, ok := b.shared[dir]; ok {
			return done, nil
		}
		r.site = ""
	}
	s := newScan(b.fsys, r)
	s.kustomization(dir, place{}, "")
	if len(s.problems) > 0 {
		return built{}, errors.Join(s.problems...)
	}
	out := built{texts: s.texts, file: kustomizationFile(s, dir)}
	m, err := runKustomize(s, dir)
	if err != nil {
		return built{}, kustomizeProblem(out.file, err)
	}
	for _, res := range m.Resources() {
		obj, err := newObject(res.YNode(), out.file)
		if err != nil {
			return built{}, err
		}
		out.objects = append(out.objects, obj)
	}
	if isShared {
		b.shared[dir] = out
	}
	return out, nil
}

func kustomizationFile(s *scan, dir string) string {
	for _, name := range fleet.KustomizationFiles() {
		if file := path.Join(dir, name); s.texts[file] != nil {
			return file
		}
	}
	return dir
}

func runKustomize(s *scan, dir string) (m resmap.ResMap, err error) {
	kustomizeLock.Lock()
	defer kustomizeLock.Unlock()
	if s.openapi {
		openapi.ResetOpenAPI()
		defer openapi.ResetOpenAPI()
	}
	defer func() {
		if p := recover(); p != nil { // kustomize panics on some malformed input
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	return krusty.MakeKustomizer(&krusty.Options{
		Reorder:          krusty.ReorderOptionUnspecified,
		LoadRestrictions: types.LoadRestrictionsNone, // mem holds only what was scanned
		PluginConfig:     types.DisabledPluginConfig(),
	}).Run(s.mem, "/"+dir)
}
