package kube

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"github.com/holdfast-fleet/holdfast/reconciler"
	"github.com/holdfast-fleet/holdfast/render"
)

// Examination is what the cluster says of one object of a layer.
type Examination struct {
	Status  string    `json:"status"` // as in kstatus: Current is healthy
	Why     string    `json:"why,omitempty"`
	Hint    string    `json:"hint,omitempty"`
	Made    time.Time `json:"made,omitzero"`
	Others  []Manager `json:"others,omitempty"`  // who write to it beside Holdfast
	Ignored []string  `json:"ignored,omitempty"` // fields that are others' by a rule: JSON pointers
}

// Manager is somebody else who writes to an object.
type Manager struct {
	Name  string    `json:"name"`
	At    time.Time `json:"at,omitzero"`
	Took  []string  `json:"took,omitempty"`  // fields that the layer declares and that are not Holdfast's any more
	Other int       `json:"other,omitempty"` // fields that the layer says nothing of
}

// Healthy tells whether all is as it should be.
func (e Examination) Healthy() bool { return e.Status == string(status.CurrentStatus) }

// Examine looks at one object of a layer: whether it is healthy, and if not why,
// who else writes to it, and what of it is left to others. It changes nothing.
func (c *Cluster) Examine(ctx context.Context, layer render.Layer, o reconciler.Object) (Examination, error) {
	items, err := c.itemsOf(layer)
	if err != nil {
		return Examination{}, err
	}
	at := slices.IndexFunc(items, func(it item) bool { return keyOf(it.object) == keyOf(o) })
	if at < 0 {
		return Examination{}, fmt.Errorf("layer %s has no %s", layer.Name, o)
	}
	jury, err := newJury(layer.Health)
	if err != nil {
		return Examination{}, err
	}
	w := &waited{item: items[at], judge: jury.of(items[at].object)}
	c.lookAt(ctx, w)
	if w.err != nil && w.live == nil && w.status != status.NotFoundStatus {
		return Examination{}, w.err
	}
	e := Examination{Status: string(w.status), Why: w.message}
	if e.Healthy() {
		e.Why = ""
	}
	declared, err := w.item.value(nil)
	if err != nil {
		return e, err
	}
	if e.Ignored, err = leftToOthers(layer, items, declared); err != nil || w.live == nil {
		return e, err
	}
	e.Made, e.Others = w.live.GetCreationTimestamp().UTC(), writers(w.live, declared)
	if s, err := c.session(); err == nil && !e.Healthy() {
		found := findings{texts: []string{shorten(w.message, 500)}}
		c.diagnose(ctx, s.objects.Client(), w.live, &found)
		e.Why, e.Hint = strings.Join(found.texts, "; "), found.tip
	}
	return e, nil
}

// leftToOthers lists the fields of an object that rules leave to others.
func leftToOthers(layer render.Layer, items []item, declared *unstructured.Unstructured) ([]string, error) {
	scaled, err := scaled(items)
	if err != nil {
		return nil, err
	}
	var list []string
	for _, p := range ignored(slices.Concat(layer.Ignore, scaled), declared) {
		list = append(list, p.String())
	}
	return list, nil
}

// String is the pointer as it is written.
func (p pointer) String() string {
	var b strings.Builder
	for _, part := range p {
		b.WriteString("/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(part))
	}
	return b.String()
}

// writers lists who writes to a live object beside us, but for those who report on it.
func writers(live, declared *unstructured.Unstructured) []Manager {
	const most = 5 // fields of each
	ours := &fieldpath.Set{}
	for _, e := range live.GetManagedFields() {
		if isOurs(e) && e.FieldsV1 != nil {
			if set, err := fieldSet(e.FieldsV1.GetRawBytes()); err == nil {
				ours = set
			}
		}
	}
	var list []Manager
	for _, e := range live.GetManagedFields() {
		if isOurs(e) || e.Manager == initialManager || e.Subresource != "" || e.FieldsV1 == nil {
			continue
		}
		theirs, err := fieldSet(e.FieldsV1.GetRawBytes())
		if err != nil {
			continue
		}
		m := Manager{Name: e.Manager}
		if e.Time != nil {
			m.At = e.Time.UTC()
		}
		for path := range theirs.Leaves().All() {
			switch {
			case ours.Has(path):
			case !declares(declared.Object, path):
				m.Other++
			case len(m.Took) < most:
				m.Took = append(m.Took, path.String())
			}
		}
		if len(m.Took) > 0 || m.Other > 0 && !reportsOnly(theirs) {
			list = append(list, m)
		}
	}
	return list
}

// declares tells whether a declared object says something of a field.
func declares(declared any, path fieldpath.Path) bool {
	for _, e := range path {
		if declared = child(declared, e); declared == nil {
			return false
		}
	}
	return true
}

// reportsOnly tells whether all fields are of the status: a controller's word, and
// nobody's business.
func reportsOnly(set *fieldpath.Set) bool {
	for path := range set.Leaves().All() {
		if len(path) == 0 || path[0].FieldName == nil || *path[0].FieldName != "status" {
			return false
		}
	}
	return true
}
