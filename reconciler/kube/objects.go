package kube

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/fluxcd/pkg/ssa/normalize"
	"github.com/fluxcd/pkg/ssa/utils"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	utiljson "k8s.io/apimachinery/pkg/util/json"

	"github.com/holdfast-fleet/holdfast/reconciler"
	"github.com/holdfast-fleet/holdfast/render"
)

// maxObject is above what etcd stores of one object (1.5 MiB), below what the API server reads (3 MiB).
const maxObject = 2 << 20

// item is one object of a layer, on its way to the cluster.
type item struct {
	object reconciler.Object
	gvk    schema.GroupVersionKind
	body   []byte // JSON to apply
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

// decode reads a layer's objects, labels them as the site's, and refuses what
// cannot be applied as declared: objects without a name, lists, duplicates.
func decode(site string, layer render.Layer) ([]item, error) {
	items := make([]item, 0, len(layer.Objects))
	seen := make(map[key]bool, len(layer.Objects))
	var errs []error
	for n, raw := range layer.Objects {
		it, err := decodeObject(raw, map[string]string{SiteLabel: site, LayerLabel: layer.Name})
		if err != nil {
			errs = append(errs, fmt.Errorf("read object %d of layer %s: %w", n+1, layer.Name, err))
			continue
		}
		if k := keyOf(it.object); seen[k] {
			errs = append(errs, fmt.Errorf("layer %s declares %s twice", layer.Name, describe(it.object)))
		} else {
			seen[k] = true
			items = append(items, it)
		}
	}
	return items, errors.Join(errs...)
}

// decodeObject reads one object in JSON, sets labels on it, and takes off what only the API server may say.
func decodeObject(raw json.RawMessage, labels map[string]string) (item, error) {
	if len(raw) > maxObject {
		return item{}, fmt.Errorf("it has %d bytes, more than the %d that a cluster can store", len(raw), maxObject)
	}
	var value map[string]any
	if err := utiljson.Unmarshal(raw, &value); err != nil {
		return item{}, err
	}
	apiVersion, _ := value["apiVersion"].(string)
	kind, _ := value["kind"].(string)
	metadata, _ := value["metadata"].(map[string]any)
	gv, err := schema.ParseGroupVersion(apiVersion)
	switch {
	case err != nil:
		return item{}, fmt.Errorf("apiVersion %q: %w", apiVersion, err)
	case gv.Version == "" || kind == "" || metadata == nil:
		return item{}, errors.New("an object needs apiVersion, kind and metadata")
	}
	name, err := text(metadata["name"])
	if err != nil || name == "" {
		return item{}, fmt.Errorf("%s: metadata.name must be a non-empty string, not %v", kind, metadata["name"])
	}
	namespace, err := text(metadata["namespace"])
	if err != nil {
		return item{}, fmt.Errorf("%s %s: metadata.namespace must be a string, not %v", kind, name, metadata["namespace"])
	}
	it := item{
		gvk: gv.WithKind(kind),
		object: reconciler.Object{Group: gv.Group, Version: gv.Version, Kind: kind,
			Namespace: namespace, Name: name},
	}
	if it.object.Group == "" && it.object.Kind == "ConfigMap" && namespace == InventoryNamespace && name == inventoryName {
		return item{}, fmt.Errorf("%s is Holdfast's own", describe(it.object))
	}
	it.stage = stageOf(it.gvk.GroupKind())
	it.body, err = body(value, labels)
	if err != nil {
		return item{}, fmt.Errorf("%s: %w", describe(it.object), err)
	}
	return it, nil
}

// body is the object as it is sent.
func body(value map[string]any, labels map[string]string) ([]byte, error) {
	u := &unstructured.Unstructured{Object: value}
	if u.IsList() {
		return nil, errors.New("a list must be split into its items")
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
	return json.Marshal(u.Object)
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

// describe names an object for people: "Deployment shop/web".
func describe(o reconciler.Object) string {
	if o.Namespace == "" {
		return o.Kind + " " + o.Name
	}
	return o.Kind + " " + o.Namespace + "/" + o.Name
}
