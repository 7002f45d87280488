package render

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/holdfast-fleet/holdfast/fleet"
)

// Written is an object as it stands in a file.
type Written struct {
	APIVersion, Kind, Namespace, Name string

	JSON   json.RawMessage
	Origin Origin
}

// ReadObjects reads the objects of a file that no kustomization builds. Beside
// the error, which joins [fleet.Problem]s, it returns those that can be read.
func ReadObjects(file string, data []byte) ([]Written, error) {
	docs, err := fleet.ParseYAML(file, data, yamlLimits())
	if err != nil {
		return nil, err
	}
	var list []Written
	var errs []error
	for _, doc := range docs {
		n := followed(doc.Content[0])
		if n.ShortTag() == "!!null" {
			continue
		}
		o, err := newObject(n, file)
		var p *fleet.Problem
		if errors.As(err, &p) {
			p.Line = n.Line
		}
		if err != nil {
			errs = append(errs, err)
			continue
		}
		raw, err := canonical(o.value)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", file, err))
		}
		list = append(list, Written{o.apiVersion, o.kind, o.namespace, o.name, raw,
			Origin{File: file, Line: n.Line, written: []document{{file, n}}}})
	}
	return list, errors.Join(errs...)
}
