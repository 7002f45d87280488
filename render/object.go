package render

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
	"sigs.k8s.io/kustomize/kyaml/openapi"
	kyaml "sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/holdfast-fleet/holdfast/fleet"
)

// object is one Kubernetes object as parsed values: maps, lists, strings,
// bools, int64s, uint64s, float64s and nil.
type object struct {
	apiVersion, kind, namespace, name string
	value                             map[string]any
}

func (o object) String() string {
	if o.namespace != "" {
		return o.kind + " " + o.namespace + "/" + o.name
	}
	return o.kind + " " + o.name
}

// id is equal for two objects that a cluster would take for one.
func (o object) id() string {
	group, _, found := strings.Cut(o.apiVersion, "/")
	if !found {
		group = ""
	}
	return strings.Join([]string{group, o.kind, o.namespace, o.name}, "\x00")
}

func newObject(n *yaml.Node, file string) (object, error) {
	v, err := parsed(n)
	if err != nil {
		return object{}, &fleet.Problem{File: file, Msg: err.Error(), Tip: "mend the value in the file that it stands in; text that looks like something else is quoted", Rule: fleet.RuleBadObject}
	}
	value, ok := v.(map[string]any)
	if !ok {
		return object{}, &fleet.Problem{File: file, Msg: "a document is not an object", Tip: objectTip, Rule: fleet.RuleBadObject}
	}
	settle(value)
	return identify(value, file)
}

// releaseNamespace is an annotation that objects of a chart bear while kustomize
// runs: the namespace into which helm would install what names none.
const releaseNamespace = "internal.holdfast.dev/release-namespace"

// settle puts an object of a chart into the namespace of its release.
func settle(value map[string]any) {
	meta, _ := value["metadata"].(map[string]any)
	annotations, _ := meta["annotations"].(map[string]any)
	namespace, ok := annotations[releaseNamespace].(string)
	if !ok {
		return
	}
	if delete(annotations, releaseNamespace); len(annotations) == 0 {
		delete(meta, "annotations")
	}
	kind, _ := value["kind"].(string)
	apiVersion, _ := value["apiVersion"].(string)
	if meta["namespace"] == nil && namespaced(object{apiVersion: apiVersion, kind: kind}) {
		meta["namespace"] = namespace
	}
}

const objectTip = "an object has apiVersion, kind, metadata.name and, if it lives in one, metadata.namespace, as text: quote what looks like a number"

// identify reads an object's name and kind.
func identify(value map[string]any, file string) (object, error) {
	refuse := func(format string, args ...any) (object, error) {
		return object{}, &fleet.Problem{File: file, Msg: fmt.Sprintf(format, args...), Tip: objectTip, Rule: fleet.RuleBadObject}
	}
	o := object{value: value}
	meta, _ := value["metadata"].(map[string]any)
	for _, f := range []struct {
		in   map[string]any
		key  string
		into *string
	}{{value, "kind", &o.kind}, {value, "apiVersion", &o.apiVersion}, {meta, "name", &o.name}} {
		text, ok := f.in[f.key].(string)
		if !ok || text == "" {
			return refuse("an object (kind %v, name %v) has no %s that is a string", value["kind"], meta["name"], f.key)
		}
		*f.into = text
	}
	switch ns := meta["namespace"].(type) {
	case string:
		o.namespace = ns
	case nil:
		// kubectl puts what names no namespace into this one.
		if namespaced(o) {
			o.namespace = "default"
			meta["namespace"] = o.namespace
		}
	default:
		return refuse("%s has a namespace that is not a string", o)
	}
	return o, nil
}

// namespaced reports whether a kind built into Kubernetes lives in namespaces.
func namespaced(o object) bool {
	defer kustomize.read()()
	yes, known := openapi.IsNamespaceScoped(kyaml.TypeMeta{APIVersion: o.apiVersion, Kind: o.kind})
	return known && yes
}

// yesNo are the plain scalars that are booleans in YAML 1.1, which Kubernetes
// reads, and text in YAML 1.2, which kustomize reads.
var yesNo = regexp.MustCompile(`^([yY]|[nN]|yes|Yes|YES|no|No|NO|on|On|ON|off|Off|OFF)$`)

// parsed turns a YAML node into values.
func parsed(n *yaml.Node) (any, error) {
	switch n.Kind {
	case yaml.DocumentNode, yaml.AliasNode:
		if n.Alias != nil {
			return parsed(n.Alias)
		}
		return parsed(n.Content[0])
	case yaml.MappingNode:
		m := make(map[string]any, len(n.Content)/2)
		for i := 0; i < len(n.Content); i += 2 {
			key := n.Content[i]
			if _, twice := m[key.Value]; twice {
				return nil, &flaw{key.Line, "key " + key.Value + " is given twice"}
			}
			v, err := parsed(n.Content[i+1])
			if at := new(flaw); errors.As(err, &at) {
				return nil, &flaw{at.line, key.Value + ": " + at.what}
			} else if err != nil {
				return nil, err
			}
			m[key.Value] = v
		}
		return m, nil
	case yaml.SequenceNode:
		list := make([]any, 0, len(n.Content))
		for _, c := range n.Content {
			v, err := parsed(c)
			if err != nil {
				return nil, err
			}
			list = append(list, v)
		}
		return list, nil
	}
	v, err := parsedScalar(n)
	if err != nil {
		return nil, &flaw{n.Line, err.Error()}
	}
	return v, nil
}

// flaw is what keeps a YAML node from being values, and the line that it is in.
type flaw struct {
	line int
	what string
}

func (f *flaw) Error() string { return f.what }

func parsedScalar(n *yaml.Node) (any, error) {
	if n.ShortTag() == "!!str" {
		if n.Style&^yaml.TaggedStyle == 0 && yesNo.MatchString(n.Value) {
			return nil, fmt.Errorf("%s is true or false to some YAML readers and text to others: quote it, or write true or false", n.Value)
		}
		return n.Value, nil
	}
	var v any
	if err := n.Decode(&v); err != nil {
		return nil, fmt.Errorf("value %q: %w", n.Value, err)
	}
	switch v := v.(type) {
	case int:
		return int64(v), nil
	case float64:
		if math.IsInf(v, 0) || math.IsNaN(v) {
			return nil, fmt.Errorf("%s is no number that JSON has", n.Value)
		}
		return v, nil
	case time.Time:
		return v.Format(time.RFC3339Nano), nil // as kustomize prints it
	case nil, bool, int64, uint64, string:
		return v, nil
	}
	return nil, fmt.Errorf("value %q has a type that JSON lacks", n.Value)
}

// ranks order the kinds: what others live in or need comes first. Webhooks,
// which can refuse the rest, come last.
func rank(kind string) int {
	first := []string{"Namespace", "CustomResourceDefinition", "ResourceQuota", "StorageClass", "ServiceAccount", "Role", "ClusterRole",
		"RoleBinding", "ClusterRoleBinding", "ConfigMap", "Secret", "Endpoints", "Service", "LimitRange", "PriorityClass",
		"PersistentVolume", "PersistentVolumeClaim", "Deployment", "StatefulSet", "CronJob", "PodDisruptionBudget"}
	if i := slices.Index(first, kind); i >= 0 {
		return i
	}
	if last := slices.Index([]string{"MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"}, kind); last >= 0 {
		return 1000 + last
	}
	return len(first)
}

// compareObjects is the one order that depends on nothing but what they are.
func compareObjects(a, b object) int {
	if d := rank(a.kind) - rank(b.kind); d != 0 {
		return d
	}
	return cmp.Or(strings.Compare(a.kind, b.kind), strings.Compare(a.apiVersion, b.apiVersion),
		strings.Compare(a.namespace, b.namespace), strings.Compare(a.name, b.name))
}

// canonical is the JSON of a value with sorted keys and no space.
func canonical(v any) (json.RawMessage, error) {
	return json.Marshal(v)
}
