// Package scaffold writes the files of a new fleet, and of what is added to one.
package scaffold

import (
	"bytes"
	"embed"
	"fmt"
	"path"
	"strings"
	"text/template"

	"github.com/holdfast-fleet/holdfast/fleet"
)

//go:embed files
var files embed.FS

// SchemaDir is where a fleet keeps the schemas that its files refer to.
const SchemaDir = ".holdfast/schemas"

// Files are the files of a fleet, by their paths in it.
type Files map[string][]byte

// Fleet is what a new fleet is made of.
type Fleet struct {
	Name         string
	Profile      string
	Distribution string // its type
	Site         string
	Keys         Files    // of trust/, by name
	Owners       []string // names of the keys
	Version      string   // of holdfast, for pipelines; latest if it is not one of Go's
}

// values are what the templates know.
type values struct {
	Fleet
	Name, Profile, Site, Kind, Distribution string
	Variables                               map[string]any
	Schemas                                 bool // the fleet keeps schemas
	dir                                     string
}

// KubernetesVersion is the version that a new distribution begins with.
func (v values) KubernetesVersion() string { return fleet.VersionLike(v.Distribution) }

// Schema is the line that tells an editor which schema a file has.
func (v values) Schema(kind string) string {
	if !v.Schemas {
		return ""
	}
	return "# yaml-language-server: $schema=" + strings.Repeat("../", strings.Count(v.dir, "/")) + SchemaDir + "/" + kind + ".json\n"
}

// add renders a template into a file.
func (f Files) add(name, from string, v values) error {
	v.dir = name
	t, err := template.New(path.Base(from)).Delims("<<", ">>").Funcs(template.FuncMap{"yaml": fleet.InlineYAML}).ParseFS(files, "files/"+from)
	if err != nil {
		return fmt.Errorf("make %s: %w", name, err)
	}
	var b bytes.Buffer
	if err := t.Execute(&b, v); err != nil {
		return fmt.Errorf("make %s: %w", name, err)
	}
	f[name] = b.Bytes()
	return nil
}

// Write returns the files of the fleet.
func (f Fleet) Write() (Files, error) {
	if !strings.HasPrefix(f.Version, "v") || strings.Contains(f.Version, "-") {
		f.Version = "latest"
	}
	out, v := Files{}, values{Fleet: f, Name: f.Name, Schemas: true}
	for name, from := range map[string]string{
		"fleet.yaml": "fleet.yaml", "README.md": "README.md", "trust/policy.yaml": "policy.yaml",
		".github/workflows/fleet.yaml": "github.yaml", ".gitlab-ci.yml": "gitlab.yaml",
	} {
		if err := out.add(name, from, v); err != nil {
			return nil, err
		}
	}
	for name, data := range f.Keys {
		out["trust/"+name] = data
	}
	for _, make := range []func() (Files, error){
		func() (Files, error) { return Profile(f.Profile, f.Distribution, true) },
		func() (Files, error) { return Site("sites/"+f.Site, f.Profile, nil, true) },
	} {
		more, err := make()
		if err != nil {
			return nil, err
		}
		for name, data := range more {
			out[name] = data
		}
	}
	return out, nil
}

// Profile returns a profile of one layer, base, on a type of distribution.
func Profile(name, distribution string, schemas bool) (Files, error) {
	dir, out, v := "profiles/"+name+"/", Files{}, values{Name: name, Distribution: distribution, Schemas: schemas}
	for _, file := range []string{"profile.yaml", "distribution/distribution.yaml"} {
		if err := out.add(dir+file, path.Base(file), v); err != nil {
			return nil, err
		}
	}
	if err := out.kustomization(dir+"distribution", "distribution.yaml"); err != nil {
		return nil, err
	}
	return out, out.layer(name, "base")
}

func (f Files) kustomization(dir, resource string) error {
	return f.add(dir+"/kustomization.yaml", "kustomization.yaml", values{Name: resource})
}

// Layer returns a layer of a profile: a namespace, to begin with.
func Layer(profile, name string) (Files, error) {
	out := Files{}
	return out, out.layer(profile, name)
}

func (f Files) layer(profile, name string) error {
	dir := "profiles/" + profile + "/addons/" + name
	if err := f.add(dir+"/namespace.yaml", "namespace.yaml", values{Name: name}); err != nil {
		return err
	}
	return f.kustomization(dir, "namespace.yaml")
}

// Site returns a site in a folder; the profile is left out if it is empty.
func Site(dir, profile string, variables map[string]any, schemas bool) (Files, error) {
	out := Files{}
	return out, out.add(dir+"/site.yaml", "site.yaml", values{Name: path.Base(dir), Profile: profile, Variables: variables, Schemas: schemas})
}

// Group returns a group in a folder.
func Group(dir, profile string, schemas bool) (Files, error) {
	out := Files{}
	return out, out.add(dir+"/group.yaml", "group.yaml", values{Name: path.Base(dir), Profile: profile, Schemas: schemas})
}
