package kube

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/fluxcd/pkg/ssa/normalize"
	"github.com/fluxcd/pkg/ssa/utils"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	utiljson "k8s.io/apimachinery/pkg/util/json"

	"github.com/holdfast-fleet/holdfast/fleet"
	"github.com/holdfast-fleet/holdfast/reconciler"
	"github.com/holdfast-fleet/holdfast/render"
)

// maxObject is above what etcd stores of one object (1.5 MiB), below what the API server reads (3 MiB).
const maxObject = 2 << 20

// item is one object of a layer.
type item struct {
	object reconciler.Object
	gvk    schema.GroupVersionKind
	raw    json.RawMessage // as rendered
	stage  stage
}

// stage orders the objects within a layer.
type stage int

const (
	foundations stage = iota // what others live in, or are instances of
	others
	pods   // their service accounts and priority classes must be there first
	guards // they may refuse everything that comes after them
	stages
)

// itemsOf lists a layer's objects. It remembers those of the newest digest of
// each layer, but for one without a digest, in which secrets are open.
func (c *Cluster) itemsOf(layer render.Layer) ([]item, error) {
	c.mu.Lock()
	known := c.items[layer.Name]
	c.mu.Unlock()
	if layer.Digest != "" && known.digest == layer.Digest {
		return known.items, nil
	}
	items, err := decode(layer)
	if err == nil && layer.Digest != "" {
		c.mu.Lock()
		c.items[layer.Name] = knownItems{layer.Digest, items}
		c.mu.Unlock()
	}
	return items, err
}

type knownItems struct {
	digest string
	items  []item
}

// decode reads what a layer's objects are, and refuses what cannot be applied
// as declared: objects without a name, lists, duplicates.
func decode(layer render.Layer) ([]item, error) {
	items := make([]item, 0, len(layer.Objects))
	seen := make(map[key]bool, len(layer.Objects))
	var errs []error
	for n, raw := range layer.Objects {
		it, err := decodeObject(raw)
		if err != nil {
			errs = append(errs, fmt.Errorf("read object %d of layer %s: %w", n+1, layer.Name, err))
			continue
		}
		if k := keyOf(it.object); seen[k] {
			errs = append(errs, fmt.Errorf("layer %s declares %s twice", layer.Name, it.object))
		} else {
			seen[k] = true
			items = append(items, it)
		}
	}
	return items, errors.Join(errs...)
}

// decodeObject reads what an object in JSON is.
func decodeObject(raw json.RawMessage) (item, error) {
	if len(raw) > maxObject {
		return item{}, fmt.Errorf("it has %d bytes, more than the %d that a cluster can store", len(raw), maxObject)
	}
	var head struct {
		APIVersion any             `json:"apiVersion"`
		Kind       any             `json:"kind"`
		Items      json.RawMessage `json:"items"`
		Metadata   *struct {
			Name      any `json:"name"`
			Namespace any `json:"namespace"`
		} `json:"metadata"`
	}
	if err := utiljson.Unmarshal(raw, &head); err != nil {
		return item{}, err
	}
	apiVersion, _ := head.APIVersion.(string)
	kind, _ := head.Kind.(string)
	gv, err := schema.ParseGroupVersion(apiVersion)
	switch {
	case err != nil:
		return item{}, fmt.Errorf("apiVersion %q: %w", apiVersion, err)
	case gv.Version == "" || kind == "" || head.Metadata == nil:
		return item{}, errors.New("an object needs apiVersion, kind and metadata")
	}
	name, err := text(head.Metadata.Name)
	if err != nil || name == "" {
		return item{}, fmt.Errorf("%s: metadata.name must be a non-empty string, not %v", kind, head.Metadata.Name)
	}
	namespace, err := text(head.Metadata.Namespace)
	if err != nil {
		return item{}, fmt.Errorf("%s %s: metadata.namespace must be a string, not %v", kind, name, head.Metadata.Namespace)
	}
	it := item{
		gvk:    gv.WithKind(kind),
		raw:    raw,
		object: reconciler.Object{Group: gv.Group, Version: gv.Version, Kind: kind, Namespace: namespace, Name: name},
	}
	if namespace == fleet.SystemNamespace && (kind == "ConfigMap" && name == inventoryName || kind == "Lease" && name == leaseName) {
		return item{}, fmt.Errorf("%s is Holdfast's own", it.object)
	}
	if len(head.Items) > 0 && head.Items[0] == '[' {
		return item{}, fmt.Errorf("%s: a list must be split into its items", it.object)
	}
	it.stage = stageOf(it.gvk.GroupKind())
	return it, nil
}

// value is the object with labels, and without what only the API server may say.
func (it item) value(labels map[string]string) (*unstructured.Unstructured, error) {
	u := &unstructured.Unstructured{}
	if err := utiljson.Unmarshal(it.raw, &u.Object); err != nil {
		return nil, err
	}
	if _, found := u.Object["stringData"]; found && utils.IsSecret(u) {
		// Ownership of stringData is not followed by the API server, that of data is.
		if err := normalize.Unstructured(u); err != nil {
			return nil, err
		}
	}
	for _, field := range []string{"uid", "resourceVersion", "generation", "creationTimestamp", "deletionTimestamp", "managedFields", "selfLink"} {
		unstructured.RemoveNestedField(u.Object, "metadata", field)
	}
	utils.SetCommonMetadata([]*unstructured.Unstructured{u}, labels, nil)
	return u, nil
}

// fleeting says whether the object goes by itself once its work is done.
func (it item) fleeting() bool {
	return it.gvk.Group == "batch" && it.gvk.Kind == "Job" && bytes.Contains(it.raw, []byte(`"ttlSecondsAfterFinished"`))
}

// once says whether the object is left to others once it is there.
func (it item) once() bool {
	return bytes.Contains(it.raw, []byte(`"`+ApplyAnnotation+`":"once"`))
}

// text returns a JSON string, or "" for an absent one.
func text(v any) (string, error) {
	switch v := v.(type) {
	case nil:
		return "", nil
	case string:
		return v, nil
	default:
		return "", fmt.Errorf("%v is not a string", v)
	}
}

func stageOf(gk schema.GroupKind) stage {
	switch gk.Group {
	case "":
		switch gk.Kind {
		case "Namespace":
			return foundations
		case "Pod":
			return pods
		}
	case "apiextensions.k8s.io":
		return foundations
	case "admissionregistration.k8s.io":
		return guards
	}
	return others
}

// key names an object whatever version it is declared in.
type key struct{ group, kind, namespace, name string }

// keyOf takes a missing namespace for "default", where namespaced objects then live;
// for kinds without namespaces it makes no difference.
func keyOf(o reconciler.Object) key {
	return key{o.Group, o.Kind, namespaceOf(o), o.Name}
}

func namespaceOf(o reconciler.Object) string {
	if o.Namespace == "" {
		return "default"
	}
	return o.Namespace
}
