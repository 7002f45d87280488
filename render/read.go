package render

import (
	"errors"
	"io/fs"
	"path"

	"go.yaml.in/yaml/v3"

	"github.com/holdfast-fleet/holdfast/fleet"
)

// use says what kustomize takes from a file.
type use int

const (
	objects use = iota // YAML, which must be within the limits
	lines              // KEY=value
	content            // all of it, as one value
)

func (s *scan) file(dir string, at place, ref string, as use) { s.fileAt(dir, at, ref, ref, as) }

func (s *scan) fileAt(dir string, at place, ref, written string, as use) {
	full, ok := s.resolveAs(dir, at, ref, written)
	if !ok {
		return
	}
	if data, ok := s.load(full, at, written, as); ok && as == objects {
		s.parse(full, data)
	}
}

func (s *scan) parse(file string, data []byte) []*yaml.Node {
	docs, err := fleet.ParseYAML(file, data, yamlLimits())
	if err != nil {
		s.problems = append(s.problems, err)
	}
	return docs
}

// load reads a file for kustomize.
func (s *scan) load(full string, at place, written string, as use) ([]byte, bool) {
	data, ok := s.read(full, at, written, as)
	if !ok {
		return nil, false
	}
	if err := s.names.WriteFile("/"+full, nil); err != nil {
		s.problems = append(s.problems, &fleet.Problem{File: full, Msg: "a name that kustomizations of a fleet cannot read", Tip: "use letters, digits, -, _ and . in names of files and folders", Rule: fleet.RuleBadName})
		return nil, false
	}
	s.mem[full] = data
	return data, true
}

// read reads a file, or what is carried in its place.
func (s *scan) read(full string, at place, written string, as use) ([]byte, bool) {
	if data, ok := s.texts[full]; ok {
		if first, sealed := s.uses[full]; !sealed || first == as {
			return data, true
		}
	}
	s.folders[path.Dir(full)] = true
	info, err := s.lstat(full)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		s.problem(at, written, "create it, or drop it here", "%s does not exist", full).Rule = fleet.RuleMissingFile
		return nil, false
	case err != nil:
		s.problem(at, written, "", "%s", oneLine(err))
		return nil, false
	case !info.Mode().IsRegular():
		s.problem(at, written, "name a file", "%s is not a file", full)
		return nil, false
	}
	data, err := s.fsys.text(full)
	if err == nil {
		data, err = s.carried(full, data, as)
	}
	if err == nil {
		if s.total += len(data); s.total > maxTotal || len(s.texts) >= maxFiles {
			err = &fleet.Problem{File: full, Msg: "the kustomization reads too much: more than 32 MiB or 10,000 files", Tip: "split the layer", Rule: fleet.RuleTooLarge}
		}
	}
	if err != nil {
		s.problems = append(s.problems, err)
		return nil, false
	}
	s.texts[full] = data
	return data, true
}
