// Package fleet holds the nouns of a fleet repository and loads them strictly:
// an unknown field, a wrong type or a dangling name is an error that says the
// file and the line.
package fleet

import (
	"errors"
	"io/fs"
	"regexp"
	"time"
)

// APIVersion is the version of every object of a fleet repository.
const APIVersion = "holdfast.dev/v1alpha1"

// ErrNoHost reports that no host of the fleet has the given identity.
var ErrNoHost = errors.New("no host of the fleet has this identity")

// Fleet is what a repository declares.
type Fleet struct {
	Name     string
	Profiles map[string]*Profile // by name
	Sites    []*Site             // ordered by Dir
	Agent    *Agent              // nil: the fleet does not say

	// Freshness is how long a host may hear nothing new before it reports that
	// the fleet is stale; 0 is for ever.
	Freshness time.Duration

	sources     sourceList
	suspend     Suspension
	maintenance maintenanceRule
	backup      backupRule
}

// Profile is what a kind of site runs: one distribution and ordered layers.
type Profile struct {
	Name         string
	Pin          Pin    // zero: as the revision itself has it
	FS           fs.FS  // what it and bases/ are read from: the revision, or the tree of the pin
	Dir          string // slash-separated path in the repository: profiles/<name>
	Distribution string // path of its kustomization in the repository
	Layers       []Layer
	Confirm      time.Duration // how long all must stay healthy before a change is confirmed; default 0
	Variables    []Variable
	Lock         Lock

	declared map[string]struct{} // names of Variables
}

// Pin names the state of a profile that a site runs: a signed tag, and the
// commit that it tagged.
type Pin struct {
	Tag    string
	Commit string // 40 hex digits
}

// IsZero tells whether there is no pin.
func (p Pin) IsZero() bool { return p == Pin{} }

// Layer is one unit of add-ons: applied, waited for and pruned as a whole.
type Layer struct {
	Name      string
	Path      string        // of its kustomization in the repository
	DependsOn []string      // names of layers of the same profile
	Wait      bool          // health gates what depends on it; default true
	Prune     bool          // objects that left it are deleted; default true
	Timeout   time.Duration // for its health; default 5 minutes
	Rollback  Rollback
	Retry     int      // how many more times it may fail before it is put back; default 0
	Ignore    []Ignore // fields that are others' once an object is there
	Health    []Health // of objects, beyond what is known of their kinds
	Probes    []Probe  // of what the layer serves, from the host
	Suspend   Suspension
}

// Rollback says whether a layer that fails is put back to what was last confirmed.
type Rollback string

// The ways. The zero one is auto, but hold for a layer that touches CRDs, storage or Jobs.
const (
	RollbackAuto Rollback = "auto"
	RollbackHold Rollback = "hold"
)

// Variable is a typed, declared input of a profile.
type Variable struct {
	Name        string
	Type        VariableType
	Required    bool
	Default     any            // nil, or of Type
	Values      []string       // of an enum
	Pattern     *regexp.Regexp // that all of a string matches; nil: any
	Description string
	File        string // where it is declared
	Line        int
}

// VariableType names the scalar type a variable's values have.
type VariableType string

// The types of variables. A string is any text; integers and booleans are parsed
// as YAML 1.2 core scalars. The values of the others are texts of one form each:
// one of a list, a network like 10.96.0.0/16, an address like 10.0.0.1 or fd00::1.
const (
	String  VariableType = "string"
	Integer VariableType = "integer"
	Boolean VariableType = "boolean"
	Enum    VariableType = "enum"
	CIDR    VariableType = "cidr"
	Address VariableType = "address"
)

// Site is a place, and the one cluster in it.
type Site struct {
	Name        string
	Dir         string   // sites/[<group>/…]<name>
	Groups      []string // folders with a group.yaml that it inherits from, outermost first
	Profile     *Profile
	ChosenIn    string              // the file that names its profile: site.yaml, or a group.yaml
	Variables   map[string]any      // checked against the profile's declarations, defaults filled in
	SetAt       map[string]Position // where those Variables are set that are no defaults
	Labels      map[string]string   // its groups' too
	Sources     []Source            // nearest list of the site, its groups and the fleet
	Prune       Prune               // the site's, or its nearest group's
	Suspended   []Suspension        // each stands until it is over
	Maintenance Maintenance         // the site's, or its nearest group's, or the fleet's
	Backup      Backup              // likewise
	Hosts       []*Host             // ordered by Name
	Overlays    map[string]string   // layer name → path of the site's kustomization over it; "distribution" likewise
}

// Position is a line of a file of the repository.
type Position struct {
	File string `json:"file"`
	Line int    `json:"line"`
}

// Role is what a host does for its site's cluster.
type Role string

// The roles.
const (
	ControlPlane Role = "control-plane"
	Worker       Role = "worker"
)

// Host is a machine at a site, in a role.
type Host struct {
	Name     string
	Site     *Site
	File     string // sites/…/hosts/<name>.yaml
	Identity string // public key as in authorized_keys, without a comment
	Role     Role
	State    State
	Network  Network
}

// Network says at which address a host is found, which it has by other means.
type Network struct {
	Address   string // canonical; empty: the first of the interface, or the one that the host talks to the world from
	Interface string // that has the address; empty: any
}

// State says what should become of a host.
type State string

// The states. A host is removed by saying so, never by leaving it out.
const (
	Active  State = "active"
	Removed State = "removed"
)

// Lock names the bytes behind a profile's references: OCI references to
// digests ("sha256:…"), as written by "holdfast lock" to content.lock.
type Lock struct {
	Distribution map[string]string // what the distribution's driver needs: artifacts and images alike
	Images       map[string]string // images of the layers
}

// Distribution is the Kubernetes distribution that a host should run; a
// profile's distribution kustomization makes exactly one.
type Distribution struct {
	Name            string
	Type            string   // the driver: one of DistributionTypes
	Version         string   // of Kubernetes: v1.36.3; with what the type adds to it: v1.36.3+k3s1
	ControlPlane    bool     // type embedded: no pods, the API alone
	ImageRepository string   // type kubeadm: the images of the control plane are below it
	Disable         []string // types that bring parts along: those that are not wanted
	PodCIDR         string   // of which each node gets a /24
	ServiceCIDR     string
	APIPort         int     // default 6443
	Machine         Machine // settings of the hosts; not of type embedded
	MaxUnavailable  int     // workers that may be away for an upgrade at the same time; default 1
}
