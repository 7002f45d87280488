// Package kinds knows which objects each version of Kubernetes takes: their
// kinds and their schemas, which are part of the program.
//
// The schemas are made from the OpenAPI documents of Kubernetes by tools/kinds.
// An object is checked as a strict API server would: a field that the schema does
// not have is a fault. What a server checks beyond that is not known here.
package kinds

import (
	"compress/gzip"
	"embed"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"

	jsonschema "github.com/santhosh-tekuri/jsonschema/v6"
)

//go:generate go run -C ../tools ./kinds v1.33.13 v1.34.9 v1.35.6 v1.36.3 v1.37.2 ../kinds/data
//go:embed data/*.json.gz
var data embed.FS

// Known is what the API of a cluster takes. It is safe for concurrent use.
type Known struct {
	Minor  string // version of Kubernetes whose schemas these are: 1.36
	core   *release
	custom map[string]*custom // by apiVersion and kind
}

// release is one version of Kubernetes.
type release struct {
	kinds map[string]string // apps/v1/Deployment → name of its schema
	*schemas
}

// Releases reads versions of Kubernetes when they are asked for, once each.
type Releases struct {
	mu   sync.Mutex
	read map[string]*release
}

// Minors lists the versions of Kubernetes whose schemas are part of the program.
func Minors() []string {
	files, _ := fs.Glob(data, "data/*.json.gz") // the pattern is well formed
	var minors []string
	for _, file := range files {
		minors = append(minors, strings.TrimSuffix(strings.TrimPrefix(file, "data/"), ".json.gz"))
	}
	slices.SortFunc(minors, func(a, b string) int { return number(a) - number(b) })
	return minors
}

// number orders minor versions.
func number(minor string) int {
	_, after, _ := strings.Cut(minor, ".")
	n, _ := strconv.Atoi(after)
	return n
}

// minorOf is the minor version of one like v1.36.3.
func minorOf(version string) string {
	parts := strings.SplitN(strings.TrimPrefix(version, "v"), ".", 3)
	return strings.Join(parts[:min(2, len(parts))], ".")
}

// nearest is the minor version with schemas that is next to one: itself, or else
// the newest that is older, or else the oldest.
func nearest(minor string) string {
	all := Minors()
	for _, m := range slices.Backward(all) {
		if number(m) <= number(minor) {
			return m
		}
	}
	return all[0]
}

// Of returns what a version of Kubernetes, like v1.36.3, takes. It is another
// Minor if the schemas of that version are not part of the program.
func (r *Releases) Of(version string) (*Known, error) {
	minor := nearest(minorOf(version))
	core, err := r.release(minor)
	if err != nil {
		return nil, fmt.Errorf("schemas of Kubernetes %s: %w", minor, err)
	}
	return &Known{Minor: minor, core: core}, nil
}

// Exact tells whether k has the schemas of that very minor version.
func (k *Known) Exact(version string) bool { return k.Minor == minorOf(version) }

func (r *Releases) release(minor string) (*release, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if known := r.read[minor]; known != nil {
		return known, nil
	}
	got, err := readRelease(minor)
	if err != nil {
		return nil, err
	}
	if r.read == nil {
		r.read = map[string]*release{}
	}
	r.read[minor] = got
	return got, nil
}

func readRelease(minor string) (*release, error) {
	file, err := data.Open("data/" + minor + ".json.gz")
	if err != nil {
		return nil, err
	}
	defer file.Close()
	zip, err := gzip.NewReader(file)
	if err != nil {
		return nil, err
	}
	parsed, err := jsonschema.UnmarshalJSON(zip)
	if err != nil {
		return nil, err
	}
	doc := parsed.(map[string]any)
	got := &release{kinds: map[string]string{}}
	for kind, name := range doc["kinds"].(map[string]any) {
		got.kinds[kind] = name.(string)
	}
	got.schemas, err = newSchemas(coreURL, doc)
	return got, err
}

const (
	coreURL    = "kubernetes:core"
	objectMeta = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"
)

// schemas are the compiled ones of one document.
type schemas struct {
	url      string
	doc      map[string]any
	mu       sync.Mutex
	compiler *jsonschema.Compiler
	compiled map[string]*jsonschema.Schema
}

func newSchemas(url string, doc map[string]any) (*schemas, error) {
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft7)
	c.AssertFormat()
	for _, f := range formats() {
		c.RegisterFormat(&f)
	}
	return &schemas{url: url, doc: doc, compiler: c, compiled: map[string]*jsonschema.Schema{}}, c.AddResource(url, doc)
}

// at compiles the schema at a pointer into the document, once.
func (s *schemas) at(pointer string) (*jsonschema.Schema, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if known := s.compiled[pointer]; known != nil {
		return known, nil
	}
	got, err := s.compiler.Compile(s.url + "#" + pointer)
	if err == nil {
		s.compiled[pointer] = got
	}
	return got, err
}

// part is a document of some of the schemas, and all that they refer to.
func (s *schemas) part(names ...string) map[string]any {
	defs := map[string]any{}
	var take func(v any)
	take = func(v any) {
		m, _ := v.(map[string]any)
		for key, inner := range m {
			name, isName := strings.CutPrefix(fmt.Sprint(inner), "#/$defs/")
			if key != "$ref" || !isName {
				take(inner)
			} else if defs[name] == nil {
				defs[name] = s.lookup("/$defs/" + name)
				take(defs[name])
			}
		}
	}
	for _, name := range names {
		take(map[string]any{"$ref": "#/$defs/" + name})
	}
	return map[string]any{"$defs": defs}
}

// kindKey is how a kind is called in a release.
func kindKey(apiVersion, kind string) string { return apiVersion + "/" + kind }

// groupOf is the API group of an apiVersion; empty for the core group.
func groupOf(apiVersion string) string {
	group, _, found := strings.Cut(apiVersion, "/")
	if !found {
		return ""
	}
	return group
}

// hasGroup tells whether the group is part of Kubernetes itself.
func (r *release) hasGroup(group string) bool {
	for kind := range maps.Keys(r.kinds) {
		if groupOf(kind[:strings.LastIndexByte(kind, '/')]) == group {
			return true
		}
	}
	return false
}

// versionsOf lists the apiVersions of a group that have the kind.
func (r *release) versionsOf(group, kind string) []string {
	var versions []string
	for _, key := range slices.Sorted(maps.Keys(r.kinds)) {
		if at := strings.LastIndexByte(key, '/'); key[at+1:] == kind && groupOf(key[:at]) == group {
			versions = append(versions, key[:at])
		}
	}
	return versions
}
