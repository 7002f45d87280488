package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/holdfast-fleet/holdfast/fleet"
	"github.com/holdfast-fleet/holdfast/render"
)

// foundObject is an object and the layer that it is in.
type foundObject struct {
	render.Object
	layer fleet.Layer
}

func (o foundObject) String() string {
	if o.Namespace == "" {
		return o.Kind + " " + o.Name
	}
	return o.Kind + " " + o.Namespace + "/" + o.Name
}

// findObject finds the one object of a site that is meant.
func findObject(r *render.Renderer, s *fleet.Site, wanted string, opts explainOptions) (foundObject, error) {
	kind, name, namespace, err := wantedObject(wanted)
	if err != nil {
		return foundObject{}, err
	}
	opts.namespace = cmp.Or(opts.namespace, namespace)
	called, err := kindsCalled(r, s, kind)
	if err != nil {
		return foundObject{}, err
	}
	var found, generated []foundObject
	var alike, names []string
	for _, layer := range append(slices.Clone(s.Profile.Layers), fleet.Layer{Name: render.DistributionLayer, Path: s.Profile.Distribution}) {
		objects, err := r.Objects(s, layer)
		if err != nil {
			return foundObject{}, err
		}
		for _, o := range objects {
			names = append(names, strings.ToLower(o.Kind)+"/"+o.Name)
			if !called(groupOf(o.APIVersion), o.Kind) {
				continue
			}
			alike = append(alike, kind+"/"+o.Name)
			switch hash, hashed := strings.CutPrefix(o.Name, name+"-"); {
			case opts.namespace != "" && o.Namespace != opts.namespace, opts.layer != "" && layer.Name != opts.layer:
			case o.Name == name:
				found = append(found, foundObject{o, layer})
			case hashed && len(hash) == 10: // as kustomize ends the names that it generates
				generated = append(generated, foundObject{o, layer})
			}
		}
	}
	if len(found) == 0 {
		found = generated
	}
	if len(alike) > 0 {
		names = alike
	}
	switch len(found) {
	case 0:
		return foundObject{}, &tipError{error: fmt.Errorf("site %s has no %s", s.Name, wanted), tip: near(wanted, names, "it has")}
	case 1:
		return found[0], nil
	}
	var which []string
	for _, o := range found {
		which = append(which, o.String()+" in layer "+o.layer.Name)
	}
	return foundObject{}, &tipError{error: fmt.Errorf("site %s has more than one %s: %s", s.Name, wanted, strings.Join(which, ", ")), tip: "name the namespace with -n, or the layer with --layer"}
}

// wantedObject takes KIND/NAME apart, or KIND/NAMESPACE/NAME.
func wantedObject(wanted string) (kind, name, namespace string, err error) {
	parts := strings.Split(strings.Trim(wanted, "/"), "/")
	if len(parts) == 3 {
		namespace = parts[1]
		parts = slices.Delete(parts, 1, 2)
	}
	if len(parts) != 2 || slices.Contains(parts, "") {
		return "", "", "", usageError{error: fmt.Errorf("%q is not an object", wanted), tip: "name it as KIND/NAME, like deployment/web"}
	}
	return parts[0], parts[1], namespace, nil
}

func groupOf(apiVersion string) string {
	group, _, found := strings.Cut(apiVersion, "/")
	if !found {
		return ""
	}
	return group
}

// shortNames are those of kubectl api-resources.
var shortNames = map[string]string{
	"cm": "configmap", "cj": "cronjob", "crd": "customresourcedefinition", "crds": "customresourcedefinition", "csr": "certificatesigningrequest", "deploy": "deployment",
	"ds": "daemonset", "ep": "endpoints", "hpa": "horizontalpodautoscaler", "ing": "ingress", "limits": "limitrange", "netpol": "networkpolicy", "no": "node", "ns": "namespace",
	"pc": "priorityclass", "pdb": "poddisruptionbudget", "po": "pod", "pv": "persistentvolume", "pvc": "persistentvolumeclaim", "quota": "resourcequota", "rc": "replicationcontroller",
	"rs": "replicaset", "sa": "serviceaccount", "sc": "storageclass", "sts": "statefulset", "svc": "service", "vap": "validatingadmissionpolicy",
}

// kindsCalled tells which kinds a word means: kubectl's words, and those of the
// CustomResourceDefinitions that the site has.
func kindsCalled(r *render.Renderer, s *fleet.Site, word string) (func(group, kind string) bool, error) {
	word = strings.ToLower(word)
	cluster, err := r.Site(s)
	if err != nil {
		return nil, err
	}
	custom := map[string][]string{} // words, by kind and group
	for _, l := range cluster.Layers {
		for _, raw := range l.Objects {
			var crd struct {
				Kind string
				Spec struct {
					Group string
					Names struct {
						Kind, Plural, Singular string
						ShortNames             []string
					}
				}
			}
			if json.Unmarshal(raw, &crd) == nil && crd.Kind == "CustomResourceDefinition" {
				n := crd.Spec.Names
				custom[n.Kind+"."+crd.Spec.Group] = append(n.ShortNames, n.Plural, n.Singular)
			}
		}
	}
	return func(group, kind string) bool {
		words := slices.Concat(custom[kind+"."+group], []string{kind, pluralOf(kind)})
		for short, long := range shortNames {
			if long == strings.ToLower(kind) {
				words = append(words, short)
			}
		}
		return slices.ContainsFunc(words, func(w string) bool {
			w = strings.ToLower(w)
			return w == word || group != "" && w+"."+group == word
		})
	}, nil
}

func pluralOf(kind string) string {
	switch {
	case strings.HasSuffix(kind, "s") && !strings.HasSuffix(kind, "ss"):
		return kind
	case strings.HasSuffix(kind, "s"), strings.HasSuffix(kind, "x"), strings.HasSuffix(kind, "ch"):
		return kind + "es"
	case strings.HasSuffix(kind, "cy"), strings.HasSuffix(kind, "ry"), strings.HasSuffix(kind, "ty"):
		return kind[:len(kind)-1] + "ies"
	}
	return kind + "s"
}
