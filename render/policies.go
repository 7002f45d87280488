package render

import (
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/holdfast-fleet/holdfast/fleet"
)

// PolicyDir is the folder of the policies that a review judges a fleet by.
const PolicyDir = "policies"

// PolicyLayer is the name of the layer that they make.
const PolicyLayer = "policies"

// Policies reads the objects of policies/*.yaml (or .yml), as they are written there: by
// them the API server of a review judges what it is given, and what they need.
// Hosts do not read them. The layer has no objects if there are none. Its error
// joins [fleet.Problem]s.
func Policies(fsys fs.FS) (Layer, Origins, error) {
	found := Origins{byID: map[string]Origin{}, file: PolicyDir}
	files, err := fs.Glob(fsys, PolicyDir+"/*.y*ml")
	if err != nil {
		return Layer{}, found, err
	}
	var objects []object
	var errs []error
	for _, file := range files {
		list, err := found.policies(fsys, file)
		objects = append(objects, list...)
		errs = append(errs, err)
	}
	if err := fleet.Join(errs...); err != nil {
		return Layer{}, found, err
	}
	slices.SortStableFunc(objects, compareObjects)
	l := Layer{Name: PolicyLayer, Prune: true}
	for _, o := range objects {
		raw, err := canonical(o.value)
		if err != nil {
			return l, found, err
		}
		l.Objects = append(l.Objects, raw)
	}
	l.Digest, err = l.digest()
	return l, found, err
}

// policies reads one file.
func (o *Origins) policies(fsys fs.FS, file string) ([]object, error) {
	data, err := fleet.ReadFile(fsys, file, maxFile)
	if err != nil {
		return nil, err
	}
	docs, err := fleet.ParseYAML(file, data, yamlLimits())
	if err != nil {
		return nil, err
	}
	var objects []object
	var errs []error
	for _, doc := range docs {
		line := doc.Content[0].Line
		one, err := newObject(doc, file)
		for _, p := range fleet.Problems(err) {
			p.Line = line
		}
		if err == nil && strings.HasSuffix(one.kind, "List") {
			err = &fleet.Problem{File: file, Line: line, Msg: one.kind + " is a list", Tip: "write its items as documents of their own", Rule: fleet.RuleBadObject}
		}
		if before, twice := o.byID[one.id()]; err == nil && twice {
			err = &fleet.Problem{File: file, Line: line, Msg: fmt.Sprintf("%s is there twice", one), Tip: fmt.Sprintf("keep one of them; the other is at %s:%d", before.File, before.Line), Rule: fleet.RuleDuplicateObject}
		}
		if err != nil {
			errs = append(errs, err)
			continue
		}
		o.byID[one.id()] = Origin{File: file, Line: line}
		objects = append(objects, one)
	}
	return objects, fleet.Join(errs...)
}
