package kube

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/fluxcd/pkg/ssa/utils"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/holdfast-fleet/holdfast/render"
)

// What is encrypted is not opened for a review. The API server gets the objects
// as they are rendered, with stand-ins, which serve wherever any text does.

// registryLogins are the types of Secrets in which it looks further, by the key it looks at:
// it wants JSON there.
var registryLogins = map[string]struct{ key, form string }{
	"kubernetes.io/dockerconfigjson": {".dockerconfigjson", `{"auths":{%q:{}}}`},
	"kubernetes.io/dockercfg":        {".dockercfg", `{%q:{}}`},
}

// takeable is an object with stand-ins of the form that the API server wants.
func takeable(it item) json.RawMessage {
	secret, err := it.value(nil)
	if err != nil || !utils.IsSecret(secret) { // what is wrong is said when it is applied
		return it.raw
	}
	kind, _, _ := unstructured.NestedString(secret.Object, "type")
	login, known := registryLogins[kind]
	entry, _, _ := unstructured.NestedString(secret.Object, "data", login.key)
	text := standIn(entry)
	if !known || text == "" {
		return it.raw
	}
	entry = base64.StdEncoding.EncodeToString(fmt.Appendf(nil, login.form, text))
	if err := unstructured.SetNestedField(secret.Object, entry, "data", login.key); err != nil {
		return it.raw
	}
	if raw, err := json.Marshal(secret.Object); err == nil {
		return raw
	}
	return it.raw
}

// standIn returns the stand-in that an entry of a Secret's data is or holds, or nothing.
func standIn(entry string) string {
	if _, sealed := render.Sealed(entry); sealed {
		return entry
	}
	plain, err := base64.StdEncoding.DecodeString(entry)
	if err != nil {
		return ""
	}
	text := string(plain)
	for _, login := range registryLogins {
		before, after, _ := strings.Cut(login.form, "%q")
		if inside, found := strings.CutPrefix(text, before); found && strings.HasSuffix(inside, after) {
			text = strings.Trim(strings.TrimSuffix(inside, after), `"`)
		}
	}
	if _, sealed := render.Sealed(text); !sealed {
		return ""
	}
	return text
}

// showSealed puts stand-ins in a Secret back to how rendering has them.
func showSealed(live *unstructured.Unstructured) {
	if !utils.IsSecret(live) {
		return
	}
	entries, _, _ := unstructured.NestedMap(live.Object, "data")
	for key, v := range entries {
		entry, _ := v.(string)
		if text := standIn(entry); text != "" {
			_ = unstructured.SetNestedField(live.Object, text, "data", key) // there is such a map
		}
	}
}

// splitCauses tells what is wrong with an object from what may be wrong only with
// the stand-ins in it. Both are empty if the API server names no causes.
func splitCauses(one tried) (known, sealed *metav1.Status) {
	known = judgement(one.err)
	if known == nil || known.Details == nil {
		return nil, nil
	}
	value, err := one.value(nil)
	if err != nil {
		return nil, nil
	}
	var places []string
	eachText(value.Object, "", func(at, text string) {
		if standIn(text) != "" {
			places = append(places, at+".")
		}
	})
	sealed = known.DeepCopy()
	stands := func(cause metav1.StatusCause) bool {
		field := strings.NewReplacer("[", ".", "]", "").Replace(cause.Field) + "."
		return field != "." && slices.ContainsFunc(places, func(at string) bool {
			return strings.HasPrefix(at, field) || strings.HasPrefix(field, at)
		})
	}
	known.Details = known.Details.DeepCopy()
	known.Details.Causes = slices.DeleteFunc(known.Details.Causes, stands)
	sealed.Details.Causes = slices.DeleteFunc(sealed.Details.Causes, func(cause metav1.StatusCause) bool { return !stands(cause) })
	return known, sealed
}

// eachText visits the texts in a value, with their paths: "spec.users.0.name".
func eachText(v any, at string, visit func(at, text string)) {
	switch v := v.(type) {
	case map[string]any:
		for key, item := range v {
			eachText(item, strings.TrimPrefix(at+"."+key, "."), visit)
		}
	case []any:
		for n, item := range v {
			eachText(item, fmt.Sprintf("%s.%d", at, n), visit)
		}
	case string:
		visit(at, v)
	}
}
