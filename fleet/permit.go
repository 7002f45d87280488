package fleet

import (
	"errors"
	"regexp"
	"strings"
)

// Permit names what may be deleted: one object, or what is left of one layer.
// People write it after Allow-Prune: in the message of a commit, and under
// spec.prune.allow of a site or group:
//
//	Namespace shop
//	PersistentVolumeClaim shop/data
//	Lamp.example.com shop/hall
//	layer shop
type Permit struct {
	Layer     string `json:"layer,omitempty"` // alone; or the others
	Kind      string `json:"kind,omitempty"`
	Group     string `json:"group,omitempty"` // empty: any
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name,omitempty"`
}

var (
	permitKind = regexp.MustCompile(`^[A-Z][A-Za-z0-9]{0,62}$`)
	permitName = regexp.MustCompile(`^[a-zA-Z0-9]([-a-zA-Z0-9.:_]{0,251}[a-zA-Z0-9])?$`)
)

// PermitTip says how a permit is written.
const PermitTip = "write the kind and the name: Namespace shop, PersistentVolumeClaim shop/data, or layer shop"

var errPermit = errors.New("it names neither an object nor a layer")

// ParsePermit reads a permit.
func ParsePermit(text string) (Permit, error) {
	words := strings.Fields(text)
	if len(words) != 2 {
		return Permit{}, errPermit
	}
	kind, name := words[0], words[1]
	if kind == "layer" {
		if !dnsLabel.MatchString(name) {
			return Permit{}, errPermit
		}
		return Permit{Layer: name}, nil
	}
	var p Permit
	p.Kind, p.Group, _ = strings.Cut(kind, ".")
	namespace, name, namespaced := strings.Cut(name, "/")
	if namespaced {
		p.Namespace = namespace
	} else {
		name = namespace
	}
	p.Name = name
	good := permitKind.MatchString(p.Kind) && (p.Group == "" || permitName.MatchString(p.Group)) &&
		permitName.MatchString(p.Name) && (!namespaced || dnsLabel.MatchString(p.Namespace))
	if !good || strings.HasSuffix(kind, ".") {
		return Permit{}, errPermit
	}
	return p, nil
}

// Permits are what commits, or a site, allow beyond what every commit may do.
type Permits struct {
	Prune    []Permit `json:"prune,omitempty"`    // to delete for good
	Recreate []Permit `json:"recreate,omitempty"` // to delete and make anew

	Downgrade []string `json:"downgrade,omitempty"` // versions of Kubernetes that hosts may go back to
}

// Names tells whether the permit is for an object.
func (p Permit) Names(group, kind, namespace, name string) bool {
	return p.Layer == "" && p.Kind == kind && (p.Group == "" || p.Group == group) && p.Namespace == namespace && p.Name == name
}

// String is the permit as people write it.
func (p Permit) String() string {
	if p.Layer != "" {
		return "layer " + p.Layer
	}
	text := p.Kind
	if p.Group != "" {
		text += "." + p.Group
	}
	if p.Namespace != "" {
		return text + " " + p.Namespace + "/" + p.Name
	}
	return text + " " + p.Name
}
