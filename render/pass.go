package render

import (
	"path"
	"reflect"
	"slices"
	"strings"

	"sigs.k8s.io/kustomize/api/types"
)

// passed is a folder to whose kustomization others pass on.
type passed struct {
	in  *shelf
	dir string
}

// passesOn follows kustomizations that only list one folder, as those of profiles
// do that share what is in bases/: what they make is what is made there. It returns
// dir itself if there is a difference between the two, or may be one.
func (s *scan) passesOn(dir string) string {
	if s.openapi {
		return dir
	}
	trail, to := []string{dir}, dir
	for {
		d := s.kustomizations[to]
		if d == nil || !listsOne(d.says) {
			return to
		}
		next := path.Join(to, d.says.Resources[0])
		if at := s.kustomizations[next]; at == nil || decidesAtTheTop(at.says) {
			return dir
		}
		if slices.ContainsFunc(trail, func(dir string) bool { return under(dir, next) }) {
			return dir // kustomize takes that for a circle
		}
		trail, to = append(trail, next), next
	}
}

// listsOne tells that a kustomization says nothing but that there is one resource.
func listsOne(k *types.Kustomization) bool {
	rest := *k
	rest.TypeMeta, rest.Resources = types.TypeMeta{}, nil
	return k.Kind == types.KustomizationKind && len(k.Resources) == 1 && reflect.DeepEqual(rest, types.Kustomization{}) &&
		!slices.ContainsFunc(strings.Split(k.Resources[0], "/"), func(part string) bool { return part != ".." && strings.Contains(part, "..") }) // which kustomize refuses
}

// decidesAtTheTop tells that a kustomization makes something else where nobody refers to it.
func decidesAtTheTop(k *types.Kustomization) bool {
	return k.Kind != types.KustomizationKind || len(k.BuildMetadata) > 0 || k.SortOptions != nil
}
