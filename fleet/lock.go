package fleet

import (
	"bytes"
	"regexp"

	"go.yaml.in/yaml/v3"
)

// Digest is the form of every digest in a fleet.
var digest = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)

// ParseLock reads a content.lock; file names it in errors, which are [Problem]s.
func ParseLock(file string, data []byte) (Lock, error) {
	r := reader{file, &problems{}}
	if len(data) > MaxFileSize {
		r.add(file, 0, "", "the file is larger than %d KiB", MaxFileSize>>10).Rule = RuleTooLarge
		return Lock{}, r.err()
	}
	lock := r.lock(data)
	return lock, r.err()
}

func (r reader) lock(data []byte) Lock {
	var lock Lock
	into := func(to *map[string]string, what string) func(*yaml.Node) {
		return func(n *yaml.Node) {
			*to = map[string]string{}
			r.entries(n, what, func(key, value *yaml.Node) {
				got := r.text(value, key.Value)
				if !digest.MatchString(got) {
					r.problem(value, "run \"holdfast lock\"", "the digest of %s is not sha256:<64 hex digits>", key.Value)
					return
				}
				(*to)[key.Value] = got
			})
		}
	}
	r.named(r.kubeObject(data, "ContentLock", false, map[string]field{
		"distribution": {read: into(&lock.Distribution, "spec.distribution")},
		"images":       {read: into(&lock.Images, "spec.images")},
	}), "content")
	return lock
}

// Marshal writes the lock as ParseLock reads it: the same lock, the same bytes.
func (lock Lock) Marshal() ([]byte, error) {
	type spec struct {
		Distribution map[string]string `yaml:"distribution,omitempty"`
		Images       map[string]string `yaml:"images,omitempty"`
	}
	var out bytes.Buffer
	out.WriteString("# Written by \"holdfast lock\"; do not edit.\n")
	enc := yaml.NewEncoder(&out)
	enc.SetIndent(2)
	err := enc.Encode(struct {
		APIVersion string `yaml:"apiVersion"`
		Kind       string `yaml:"kind"`
		Spec       spec   `yaml:"spec"`
	}{APIVersion, "ContentLock", spec(lock)})
	if err != nil {
		return nil, err
	}
	return out.Bytes(), enc.Close()
}
