package fleet

import (
	"net"
	"net/url"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/holdfast-fleet/holdfast/health"
)

// Ignore names fields that a layer sets when it makes an object, and which are
// others' from then on: an autoscaler's replicas, an injected certificate.
type Ignore struct {
	Kind   string   `json:"kind,omitempty"` // empty: any
	Name   string   `json:"name,omitempty"` // empty: any
	Fields []string `json:"fields"`         // JSON pointers; * stands for every item of a list or every key
}

// Health says in CEL what makes objects of a kind healthy.
type Health struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Name       string `json:"name,omitempty"` // empty: each of the kind
	Ready      string `json:"ready"`
	Failed     string `json:"failed,omitempty"` // for good: there is nothing to wait for
}

// Probe is what must answer for a layer to be healthy: a URL or a TCP address. Either may hold variables.
type Probe struct {
	HTTP   string `json:"http,omitempty"`
	Status int    `json:"status,omitempty"` // that HTTP must answer with; 0: any from 200 to 299
	TCP    string `json:"tcp,omitempty"`
	File   string `json:"-"` // where it is declared
	Line   int    `json:"-"`
}

// maxPointer is how long a JSON pointer may be, in bytes.
const maxPointer = 1000

func (r reader) ignore(n *yaml.Node) Ignore {
	var i Ignore
	r.object(n, "an entry of ignore", r.ignoreFields(&i))
	return i
}

func (r reader) ignoreFields(i *Ignore) map[string]field {
	return map[string]field{
		"kind": {false, "Of the objects; default any", textShape, func(n *yaml.Node) { i.Kind = r.text(n, "kind") }},
		"name": {false, "Of the objects; default any", textShape, func(n *yaml.Node) { i.Name = r.text(n, "name") }},
		"fields": {true, "JSON pointers such as /spec/replicas; * stands for every item of a list", listOf(matching(pointerPattern)), func(n *yaml.Node) {
			r.items(n, "fields", func(n *yaml.Node) {
				pointer := r.text(n, "a field to ignore")
				if problem := badPointer(pointer); problem != "" && pointer != "" {
					r.problem(n, "write it like /spec/replicas or /webhooks/*/clientConfig/caBundle", "%q %s", pointer, problem)
					return
				}
				i.Fields = append(i.Fields, pointer)
			})
		}},
	}
}

const pointerPattern = `^(/[^/]+)+$`

// badPointer says what is wrong with a JSON pointer to a field, or nothing.
func badPointer(pointer string) string {
	first, _, _ := strings.Cut(strings.TrimPrefix(pointer, "/"), "/")
	switch {
	case len(pointer) > maxPointer:
		return "is too long"
	case !strings.HasPrefix(pointer, "/") || slices.Contains(strings.Split(pointer[1:], "/"), ""):
		return "is not a pointer to a field"
	case slices.Contains([]string{"apiVersion", "kind", "*"}, first):
		return "points at what an object is"
	case first == "metadata" && !strings.HasPrefix(pointer, "/metadata/annotations/") && !strings.HasPrefix(pointer, "/metadata/labels/"):
		return "points at what an object is called"
	}
	return ""
}

func (r reader) health(n *yaml.Node) Health {
	var h Health
	r.object(n, "an entry of health", r.healthFields(&h))
	return h
}

func (r reader) healthFields(h *Health) map[string]field {
	return map[string]field{
		"apiVersion": {true, "Of the objects", textShape, func(n *yaml.Node) { h.APIVersion = r.text(n, "apiVersion") }},
		"kind":       {true, "Of the objects", textShape, func(n *yaml.Node) { h.Kind = r.text(n, "kind") }},
		"name":       {false, "Of the object; default each of the kind", textShape, func(n *yaml.Node) { h.Name = r.text(n, "name") }},
		"ready":      {true, "CEL expression over object that is true once it is healthy", textShape, func(n *yaml.Node) { h.Ready = r.expression(n, "ready") }},
		"failed":     {false, "CEL expression over object that is true if it never will be", textShape, func(n *yaml.Node) { h.Failed = r.expression(n, "failed") }},
	}
}

// expression reads a CEL expression that compiles.
func (r reader) expression(n *yaml.Node, what string) string {
	text := r.text(n, what)
	if text == "" {
		return ""
	}
	if _, err := health.Compile(text); err != nil {
		r.problem(n, `write it like object.status.phase == "Running"`, "%s: %s", what, err)
	}
	return text
}

func (r reader) probe(n *yaml.Node) Probe {
	p := Probe{File: r.file, Line: deref(n).Line}
	r.object(n, "a probe", r.probeFields(&p))
	switch {
	case p.HTTP == "" && p.TCP == "" || p.HTTP != "" && p.TCP != "":
		r.problem(n, "give it one of the two", "a probe has either http or tcp")
	case p.TCP != "" && p.Status != 0:
		r.problem(n, "drop it", "a probe of tcp has no status")
	}
	if err := p.Check(); err != "" {
		r.problem(n, "", "%s", err)
	}
	return p
}

func (r reader) probeFields(p *Probe) map[string]field {
	return map[string]field{
		"http":   {false, "URL to get, which may hold ${VARIABLES}", textShape, func(n *yaml.Node) { p.HTTP = r.text(n, "http") }},
		"status": {false, "That the URL must answer with; default any from 200 to 299", between(100, 599), func(n *yaml.Node) { p.Status = r.number(n, "status", 100, 599) }},
		"tcp":    {false, "host:port to connect to, which may hold ${VARIABLES}", textShape, func(n *yaml.Node) { p.TCP = r.text(n, "tcp") }},
	}
}

// Check says what is wrong with the address of a probe, or nothing. Variables
// that are still in it count as any text.
func (p Probe) Check() string {
	if p.HTTP != "" {
		u, err := url.Parse(plainly(p.HTTP))
		if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.User != nil {
			return "http is not a URL like http://10.0.0.1:8080/healthz: " + p.HTTP
		}
	}
	if p.TCP != "" {
		host, port, err := net.SplitHostPort(plainly(p.TCP))
		if err != nil || host == "" || port == "" {
			return "tcp is not an address like 10.0.0.1:5432: " + p.TCP
		}
	}
	return ""
}

// plainly puts a digit, which may be in a name and a port, in the place of each variable.
func plainly(text string) string {
	var out strings.Builder
	for {
		before, rest, found := strings.Cut(text, "${")
		out.WriteString(before)
		if !found {
			return out.String()
		}
		out.WriteByte('1')
		_, text, _ = strings.Cut(rest, "}")
	}
}
