package fleet

import (
	"net/netip"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// The types of distributions.
const (
	Embedded = "embedded" // upstream Kubernetes on loopback, for demo and tests
	Kubeadm  = "kubeadm"
	K3s      = "k3s"
	RKE2     = "rke2"
	K0s      = "k0s"
)

// DistributionTypes are all of them.
var DistributionTypes = []string{Embedded, Kubeadm, K3s, RKE2, K0s}

// kinds says what the types of distributions differ in, as far as the model goes.
var kinds = map[string]struct {
	version        string // what follows the version of Kubernetes, a pattern
	like           string // a version
	pods, services string // the networks, unless others are named
	port           int    // of the API, where no other can be named
	disable        []string
}{
	Embedded: {like: "v1.36.3", pods: "10.244.0.0/24", services: "10.96.0.0/16"},
	Kubeadm:  {like: "v1.36.3", pods: "10.244.0.0/16", services: "10.96.0.0/16"},
	// https://docs.k3s.io/cli/server
	K3s: {version: `\+k3s[1-9][0-9]*`, like: "v1.36.3+k3s1", pods: "10.42.0.0/16", services: "10.43.0.0/16",
		disable: []string{"coredns", "servicelb", "traefik", "local-storage", "metrics-server", "runtimes"}},
	// https://docs.rke2.io/reference/server_config
	RKE2: {version: `\+rke2r[1-9][0-9]*`, like: "v1.36.3+rke2r1", pods: "10.42.0.0/16", services: "10.43.0.0/16", port: 6443,
		disable: []string{"rke2-coredns", "rke2-metrics-server", "ingress-controller"}},
	// https://docs.k0sproject.io/stable/configuration and https://docs.k0sproject.io/stable/cli/k0s_install_controller
	K0s: {version: `\+k0s\.(0|[1-9][0-9]*)`, like: "v1.36.3+k0s.0", pods: "10.244.0.0/16", services: "10.96.0.0/12",
		disable: []string{"autopilot", "coredns", "helm", "konnectivity-server", "kube-proxy", "metrics-server", "network-provider", "update-prober"}},
}

// VersionLike returns a version of a type of distribution, as it is written.
func VersionLike(distribution string) string { return kinds[distribution].like }

// kubernetes is how versions of Kubernetes are written, and what distributions add to them.
const (
	kubernetes  = `^v1\.(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)`
	anyAddition = `(\+[0-9a-z.]+)?`
)

// ParseDistribution reads a Distribution object, YAML or JSON, and fills in
// its defaults. Its error joins [Problem]s of the file "distribution".
func ParseDistribution(data []byte) (Distribution, error) {
	r := reader{"distribution", &problems{}}
	if len(data) > MaxFileSize {
		r.add(r.file, 0, "", "the object is larger than %d KiB", MaxFileSize>>10).Rule = RuleTooLarge
		return Distribution{}, r.err()
	}
	d := Distribution{APIPort: 6443, MaxUnavailable: 1}
	var at distributionLines
	d.Name = r.kubeObject(data, "Distribution", true, r.distributionFields(&d, &at)).Name
	r.checkKind(&d, at)
	if pod, err := netip.ParsePrefix(d.PodCIDR); err == nil {
		if service, err := netip.ParsePrefix(d.ServiceCIDR); err == nil && pod.Overlaps(service) {
			r.add(r.file, 0, "choose networks apart from each other", "podCIDR %s and serviceCIDR %s overlap", pod, service)
		}
	}
	if err := r.err(); err != nil {
		return Distribution{}, err
	}
	return d, nil
}

// distributionLines are where fields stand that the type has its say on.
type distributionLines struct{ version, disable, host *yaml.Node }

// checkKind checks what depends on the type, and fills in its defaults.
func (r reader) checkKind(d *Distribution, at distributionLines) {
	kind, known := kinds[d.Type]
	if !known {
		return
	}
	if d.PodCIDR == "" {
		d.PodCIDR = kind.pods
	}
	if d.ServiceCIDR == "" {
		d.ServiceCIDR = kind.services
	}
	if at.version != nil && !regexp.MustCompile(kubernetes+kind.version+"$").MatchString(d.Version) {
		r.problem(at.version, "write it like "+kind.like, "%q is not a version of type %s", d.Version, d.Type)
	}
	for _, name := range d.Disable {
		if len(kind.disable) == 0 {
			r.problem(at.disable, "", "disable is not of type %s", d.Type)
		} else if !slices.Contains(kind.disable, name) {
			r.problem(at.disable, "there are "+strings.Join(kind.disable, ", "), "%q is nothing that type %s could disable", name, d.Type)
		}
	}
	switch {
	case d.Type == Kubeadm && d.ImageRepository == "":
		r.add(r.file, 0, "name the repository that kubeadm config images list shows, or your own", "imageRepository is missing, which type kubeadm needs")
	case d.Type != Kubeadm && d.ImageRepository != "":
		r.add(r.file, 0, "", "imageRepository is of type kubeadm alone")
	}
	if kind.port != 0 && d.APIPort != kind.port {
		r.add(r.file, 0, "", "the API of type %s listens on port %d alone", d.Type, kind.port)
	}
	if d.Type == Embedded && d.Machine.Declares() {
		r.problem(at.host, "leave host out: the machine is somebody's who tries something", "settings of the host are not of type embedded")
	}
	if d.Type != Embedded && d.ControlPlane {
		r.add(r.file, 0, "", "controlPlane is of type embedded alone")
	}
}

func (r reader) distributionFields(d *Distribution, at *distributionLines) map[string]field {
	return map[string]field{
		"type": {true, "The driver that brings the node up", oneOf(DistributionTypes...), func(n *yaml.Node) {
			if d.Type = r.text(n, "type"); d.Type != "" && !slices.Contains(DistributionTypes, d.Type) {
				r.problem(n, "the types are "+strings.Join(DistributionTypes, ", "), "unknown type of distribution %s", d.Type)
			}
		}},
		"version":         {true, "Of Kubernetes, like v1.36.3; of k3s like v1.36.3+k3s1, of RKE2 like v1.36.3+rke2r1, of k0s like v1.36.3+k0s.0", matching(kubernetes + anyAddition + "$"), func(n *yaml.Node) { d.Version, at.version = r.text(n, "version"), n }},
		"controlPlane":    {false, "No pods, the API alone; default false", booleanShape, func(n *yaml.Node) { d.ControlPlane = r.boolean(n, "controlPlane") }},
		"imageRepository": {false, "Of type kubeadm, required: the images of the control plane are below it, as in kubeadm's ClusterConfiguration", textShape, func(n *yaml.Node) { d.ImageRepository = r.text(n, "imageRepository") }},
		"disable": {false, "What the distribution brings along and should not: of type k3s coredns, servicelb, traefik, local-storage, metrics-server, runtimes; of type rke2 rke2-coredns, rke2-metrics-server, ingress-controller; of type k0s autopilot, coredns, helm, konnectivity-server, kube-proxy, metrics-server, network-provider, update-prober", listOf(nameShape), func(n *yaml.Node) {
			at.disable = n
			r.items(n, "disable", func(item *yaml.Node) { d.Disable = append(d.Disable, r.text(item, "what is disabled")) })
		}},
		"podCIDR":     {false, "Network of the pods, of which each node gets a /24; default 10.244.0.0/16, of types k3s and rke2 10.42.0.0/16, of type embedded 10.244.0.0/24", matching(cidrPattern), func(n *yaml.Node) { d.PodCIDR = r.cidr(n, "podCIDR") }},
		"serviceCIDR": {false, "Network of the services; default 10.96.0.0/16, of types k3s and rke2 10.43.0.0/16, of type k0s 10.96.0.0/12", matching(cidrPattern), func(n *yaml.Node) { d.ServiceCIDR = r.cidr(n, "serviceCIDR") }},
		"host": {false, "Settings of the hosts that are kept; what is not declared is left alone. Not of type embedded", mapping(r.machineFields(&Machine{})), func(n *yaml.Node) {
			at.host = n
			r.object(n, "host", r.machineFields(&d.Machine))
		}},
		"apiPort":        {false, "Default 6443, which type rke2 cannot change", between(1, 65535), func(n *yaml.Node) { d.APIPort = r.number(n, "apiPort", 1, 65535) }},
		"maxUnavailable": {false, "How many workers may be away for an upgrade at the same time; default 1", between(1, 1000), func(n *yaml.Node) { d.MaxUnavailable = r.number(n, "maxUnavailable", 1, 1000) }},
	}
}

func (r reader) cidr(n *yaml.Node, what string) string {
	text := r.text(n, what)
	if err := network(text); err != nil {
		r.problem(n, "write the first address of a network, like 10.96.0.0/16", "%s %s", what, err)
	}
	return text
}
