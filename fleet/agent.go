package fleet

import (
	"errors"
	"io/fs"
	"regexp"

	"go.yaml.in/yaml/v3"
)

// Agent says which agent the hosts run. Its format is frozen: every agent that
// there ever was must be able to read it.
type Agent struct {
	Version string            // v1.2.3
	Digests map[string]string // architecture as Go names it → digest of the program
}

var (
	agentVersion = regexp.MustCompile(`^v(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)(-[0-9A-Za-z.-]+)?$`)
	architecture = regexp.MustCompile(`^[a-z0-9]{1,20}$`)
)

// ParseAgent reads agent.yaml; file names it in errors, which are [Problem]s.
func ParseAgent(file string, data []byte) (*Agent, error) {
	r, a := reader{file, &problems{}}, new(Agent)
	if len(data) > MaxFileSize {
		return nil, tooLarge(file, MaxFileSize)
	}
	r.kubeObject(data, "Agent", false, r.agentFields(a))
	if err := r.err(); err != nil {
		return nil, err
	}
	return a, nil
}

func (r reader) agentFields(a *Agent) map[string]field {
	return map[string]field{
		"version": {true, "Of the agent, like v1.2.3", matching(agentVersion.String()), func(n *yaml.Node) {
			if a.Version = r.text(n, "version"); !agentVersion.MatchString(a.Version) {
				r.problem(n, "write it like v1.2.3", "%q is not a version of the agent", a.Version)
			}
		}},
		"digests": {true, "Architecture (amd64, arm64) to digest of the program", func() schema {
			return schema{"type": "object", "minProperties": 1, "additionalProperties": schema{"type": "string", "pattern": digest.String()},
				"propertyNames": schema{"pattern": architecture.String()}}
		}, func(n *yaml.Node) {
			a.Digests = map[string]string{}
			r.entries(n, "digests", func(key, value *yaml.Node) {
				text := r.text(value, key.Value)
				switch {
				case !architecture.MatchString(key.Value):
					r.problem(key, "write it like amd64 or arm64", "%q is not an architecture", key.Value)
				case !digest.MatchString(text):
					r.problem(value, "sha256sum prints it", "the digest for %s is not sha256:<64 hex digits>", key.Value)
				}
				a.Digests[key.Value] = text
			})
			if len(a.Digests) == 0 {
				r.problem(n, "give at least one architecture", "digests is empty")
			}
		}},
	}
}

// ReadAgent reads agent.yaml and nothing else of a fleet; nil if there is none.
func ReadAgent(fsys fs.FS) (*Agent, error) {
	l := loader{fsys: fsys, problems: &problems{}, fleet: &Fleet{}}
	l.agent()
	return l.fleet.Agent, l.err()
}

// agent reads agent.yaml, which a fleet may lack.
func (l *loader) agent() {
	if _, err := fs.Stat(l.fsys, agentFile); errors.Is(err, fs.ErrNotExist) {
		return
	}
	data, ok := folder{l.fsys, ".", l.problems, nil}.read(agentFile, "")
	if !ok {
		return
	}
	a, err := ParseAgent(agentFile, data)
	l.addErr(err)
	l.fleet.Agent = a
}

const agentFile = "agent.yaml"
