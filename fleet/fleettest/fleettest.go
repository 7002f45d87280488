// Package fleettest writes the fleet that benchmarks measure with: 20 profiles,
// each of 10 of the 30 layers that they share.
package fleettest

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"
)

// The fleet's shape.
const (
	Profiles          = 20
	Layers            = 30 // in bases/, of 10 objects
	LayersOfProfile   = 10
	HostsOfSite       = 3
	SitesOfGroup      = 100
	GroupsOfContinent = 20
)

// Fleet is a benchmark's fleet.
type Fleet struct {
	Sites int
	// WholeLayers puts variables into all objects of 3 of a profile's 10 layers.
	// Else they are in 3 of the 10 objects of every layer.
	WholeLayers bool
}

// writer writes files, and keeps the first error.
type writer struct {
	root string
	dir  string // made last
	err  error
}

func (w *writer) file(name, text string) {
	if w.err != nil {
		return
	}
	full := filepath.Join(w.root, name)
	if dir := filepath.Dir(full); dir != w.dir {
		if w.err = os.MkdirAll(dir, 0o755); w.err != nil {
			return
		}
		w.dir = dir
	}
	w.err = os.WriteFile(full, []byte(text), 0o644)
}

const head = "apiVersion: holdfast.dev/v1alpha1\nkind: "

// Write writes the fleet to dir. The same fleet is the same bytes.
func (f Fleet) Write(dir string) error {
	w := &writer{root: dir}
	w.file("fleet.yaml", head+"Fleet\nmetadata:\n  name: bench\n")
	for n := range Layers {
		f.layer(w, n)
	}
	for n := range Profiles {
		f.profile(w, n)
	}
	for n := range f.Sites {
		f.site(w, n)
		if group := n / SitesOfGroup; n%SitesOfGroup == 0 {
			name := fmt.Sprintf("region-%03d", group)
			w.file(path.Dir(SiteDir(n))+"/group.yaml", head+"Group\nmetadata:\n  name: "+name+"\nspec:\n  labels:\n    region: "+name+"\n  variables:\n    DOMAIN: "+name+".example.com\n")
		}
	}
	return w.err
}

// LayerName is the name of one of the layers. All but every third are part of
// 6 profiles, the others of 8.
func LayerName(n int) string { return fmt.Sprintf("layer-%02d", n) }

// ProfileName is the name of one of the profiles.
func ProfileName(n int) string { return fmt.Sprintf("profile-%02d", n) }

// ProfileOf is the number of a site's profile.
func ProfileOf(site int) int { return site % Profiles }

// LayersOf are the numbers of a profile's layers.
func LayersOf(profile int) []int {
	var layers []int
	for n := range LayersOfProfile {
		layers = append(layers, (3*profile+n)%Layers)
	}
	return layers
}

// SiteDir is the folder of a site.
func SiteDir(site int) string {
	group := site / SitesOfGroup
	return fmt.Sprintf("sites/continent-%02d/region-%03d/site-%05d", group/GroupsOfContinent, group, site)
}

// OverlaysOf is the layer that a site has an overlay of; a tenth of them has one.
func OverlaysOf(site int) (layer int, has bool) {
	if site%10 != 3 {
		return 0, false
	}
	return LayersOf(ProfileOf(site))[(site/10)%LayersOfProfile], true
}

func digest(text string) string { return fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(text))) }

func image(layer int) string { return "registry.example.com/" + LayerName(layer) + ":1.0.0" }

func (f Fleet) profile(w *writer, n int) {
	dir := "profiles/" + ProfileName(n) + "/"
	layers, images := "", ""
	for i, layer := range LayersOf(n) {
		layers += "    - name: " + LayerName(layer) + "\n"
		if i > 0 {
			layers += "      dependsOn: [" + LayerName(LayersOf(n)[0]) + "]\n"
		}
		images += "    " + image(layer) + ": " + digest(image(layer)) + "\n"
		w.file(dir+"addons/"+LayerName(layer)+"/kustomization.yaml", kustomization("../../../../bases/"+LayerName(layer)))
	}
	w.file(dir+"profile.yaml", head+"Profile\nmetadata:\n  name: "+ProfileName(n)+"\nspec:\n  layers:\n"+layers+variables)
	distribution := ""
	for _, ref := range distributionRefs() {
		distribution += "    " + ref + ": " + digest(ref) + "\n"
	}
	w.file(dir+"content.lock", head+"ContentLock\nspec:\n  distribution:\n"+distribution+"  images:\n"+images)
	w.file(dir+"distribution/kustomization.yaml", kustomization("distribution.yaml"))
	w.file(dir+"distribution/distribution.yaml", head+"Distribution\nmetadata:\n  name: "+ProfileName(n)+"\nspec:\n  type: kubeadm\n  version: v1.36.3\n  imageRepository: registry.example.com\n  podCIDR: 10.244.0.0/16\n")
}

// distributionRefs are what kubeadm's driver needs, which several hosts can share.
func distributionRefs() []string {
	refs := []string{"holdfast.dev/kubeadm/programs:v1.36.3"}
	for _, image := range []string{"coredns:v1.14.2", "etcd:3.6.8-0", "kube-apiserver:v1.36.3", "kube-controller-manager:v1.36.3",
		"kube-proxy:v1.36.3", "kube-scheduler:v1.36.3", "pause:3.10.2"} {
		refs = append(refs, "registry.example.com/"+image)
	}
	return refs
}

const variables = `  variables:
    - name: SITE
      type: string
      required: true
      pattern: "[0-9]{5}"
      description: The site's number, with its leading zeros
    - name: DOMAIN
      type: string
      default: example.com
      description: What its names end in
    - name: REPLICAS
      type: integer
      default: 1
      description: How many pods each Deployment has
`

func kustomization(resources ...string) string {
	return "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources:\n  - " + strings.Join(resources, "\n  - ") + "\n"
}

func (f Fleet) site(w *writer, n int) {
	dir, profile := SiteDir(n)+"/", ProfileOf(n)
	values := fmt.Sprintf("    SITE: \"%05d\"\n", n)
	if n%4 == 0 {
		values += fmt.Sprintf("    REPLICAS: %d\n", 1+n%3)
	}
	w.file(dir+"site.yaml", fmt.Sprintf(head+"Site\nmetadata:\n  name: site-%05d\nspec:\n  profile: %s\n  labels:\n    ring: \"%d\"\n  variables:\n%s",
		n, ProfileName(profile), n%7, values))
	for h := range HostsOfSite {
		name := fmt.Sprintf("site-%05d-%c", n, 'a'+h)
		role := "worker"
		if h == 0 {
			role = "control-plane\n  network:\n    address: 192.168.1.10"
		}
		w.file(dir+"hosts/"+name+".yaml", head+"Host\nmetadata:\n  name: "+name+"\nspec:\n  identity: "+identity(name)+"\n  role: "+role+"\n")
	}
	if layer, has := OverlaysOf(n); has {
		patch := fmt.Sprintf("patches:\n  - patch: |-\n      apiVersion: v1\n      kind: ConfigMap\n      metadata:\n        name: %s\n      data:\n        floor: \"%d\"\n", LayerName(layer), n)
		w.file(dir+"addons/"+LayerName(layer)+"/kustomization.yaml", strings.Replace(
			kustomization("../../../../../../profiles/"+ProfileName(profile)+"/addons/"+LayerName(layer)), "\nresources", "\nnamespace: "+LayerName(layer)+"\nresources", 1)+patch)
	}
}

// identity is a host's public key: any 32 bytes are one.
func identity(host string) string {
	key := sha256.Sum256([]byte(host))
	wire := append([]byte("\x00\x00\x00\x0bssh-ed25519\x00\x00\x00\x20"), key[:]...)
	return "ssh-ed25519 " + base64.StdEncoding.EncodeToString(wire)
}
