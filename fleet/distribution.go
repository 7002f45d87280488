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
)

// DistributionTypes are all of them.
var DistributionTypes = []string{Embedded, Kubeadm}

var kubernetesVersion = regexp.MustCompile(`^v1\.(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)$`)

// ParseDistribution reads a Distribution object, YAML or JSON, and fills in
// its defaults. Its error joins [Problem]s of the file "distribution".
func ParseDistribution(data []byte) (Distribution, error) {
	r := reader{"distribution", &problems{}}
	if len(data) > MaxFileSize {
		r.add(r.file, 0, "", "the object is larger than %d KiB", MaxFileSize>>10).Rule = RuleTooLarge
		return Distribution{}, r.err()
	}
	d := Distribution{ServiceCIDR: "10.96.0.0/16", APIPort: 6443}
	d.Name = r.kubeObject(data, "Distribution", true, r.distributionFields(&d)).Name
	if d.PodCIDR == "" && d.Type == Kubeadm {
		d.PodCIDR = "10.244.0.0/16"
	} else if d.PodCIDR == "" {
		d.PodCIDR = "10.244.0.0/24"
	}
	if pod, err := netip.ParsePrefix(d.PodCIDR); err == nil {
		if service, err := netip.ParsePrefix(d.ServiceCIDR); err == nil && pod.Overlaps(service) {
			r.add(r.file, 0, "choose networks apart from each other", "podCIDR %s and serviceCIDR %s overlap", pod, service)
		}
	}
	if d.Type == Kubeadm && d.ImageRepository == "" {
		r.add(r.file, 0, "name the repository that kubeadm config images list shows, or your own", "imageRepository is missing, which type kubeadm needs")
	}
	if d.Type == Kubeadm && d.ControlPlane {
		r.add(r.file, 0, "", "controlPlane is of type embedded alone")
	}
	if err := r.err(); err != nil {
		return Distribution{}, err
	}
	return d, nil
}

func (r reader) distributionFields(d *Distribution) map[string]field {
	return map[string]field{
		"type": {true, "The driver that brings the node up", oneOf(DistributionTypes...), func(n *yaml.Node) {
			if d.Type = r.text(n, "type"); d.Type != "" && !slices.Contains(DistributionTypes, d.Type) {
				r.problem(n, "the types are "+strings.Join(DistributionTypes, " and "), "unknown type of distribution %s", d.Type)
			}
		}},
		"version": {true, "Of Kubernetes, like v1.36.3", matching(kubernetesVersion.String()), func(n *yaml.Node) {
			if d.Version = r.text(n, "version"); !kubernetesVersion.MatchString(d.Version) {
				r.problem(n, "write it like v1.36.3", "%q is not a version of Kubernetes", d.Version)
			}
		}},
		"controlPlane":    {false, "No pods, the API alone; default false", booleanShape, func(n *yaml.Node) { d.ControlPlane = r.boolean(n, "controlPlane") }},
		"imageRepository": {false, "Of type kubeadm, required: the images of the control plane are below it, as in kubeadm's ClusterConfiguration", textShape, func(n *yaml.Node) { d.ImageRepository = r.text(n, "imageRepository") }},
		"podCIDR":         {false, "Network of the pods, of which each node of type kubeadm gets a /24; default 10.244.0.0/16, of type embedded 10.244.0.0/24", matching(cidrPattern), func(n *yaml.Node) { d.PodCIDR = r.cidr(n, "podCIDR") }},
		"serviceCIDR":     {false, "Network of the services; default 10.96.0.0/16", matching(cidrPattern), func(n *yaml.Node) { d.ServiceCIDR = r.cidr(n, "serviceCIDR") }},
		"apiPort":         {false, "Default 6443", between(1, 65535), func(n *yaml.Node) { d.APIPort = r.number(n, "apiPort", 1, 65535) }},
	}
}

func (r reader) cidr(n *yaml.Node, what string) string {
	text := r.text(n, what)
	if err := network(text); err != nil {
		r.problem(n, "write the first address of a network, like 10.96.0.0/16", "%s %s", what, err)
	}
	return text
}
