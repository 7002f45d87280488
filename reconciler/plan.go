package reconciler

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/holdfast-fleet/holdfast/fleet"
	"github.com/holdfast-fleet/holdfast/render"
)

// plan returns the layers to hold the cluster at: the desired ones, but for
// those whose digest is known to be bad, those that depend on them, and those
// that took an object over from one of them. These stay as last confirmed. kept
// says why, by name.
func plan(desired, confirmed []render.Layer, bad map[string]string) (layers []render.Layer, kept map[string]string) {
	kept = map[string]string{}
	old := map[string]render.Layer{}
	for _, l := range confirmed {
		old[l.Name] = l
	}
	for again := true; again; { // a layer that is kept may keep one before it
		again = false
		for _, l := range desired {
			if why := keeps(l, desired, old, kept, bad); kept[l.Name] == "" && why != "" {
				kept[l.Name], again = why, true
			}
		}
	}
	for _, l := range desired {
		if kept[l.Name] != "" {
			if was, known := old[l.Name]; known {
				layers = append(layers, was)
			}
			continue
		}
		layers = append(layers, l)
	}
	return known(layers), kept
}

// keeps says why a layer stays as last confirmed; empty if it does not.
func keeps(l render.Layer, desired []render.Layer, old map[string]render.Layer, kept, bad map[string]string) string {
	if why := bad[l.Digest]; why != "" {
		return why
	}
	for _, dep := range l.DependsOn {
		if kept[dep] != "" {
			return "waits for layer " + dep
		}
	}
	for _, other := range desired {
		was, known := old[other.Name]
		if other.Name == l.Name || kept[other.Name] == "" || !known {
			continue
		}
		if o, shared := sharedObject(l, was); shared {
			return fmt.Sprintf("takes %s over from layer %s", o, other.Name)
		}
	}
	return ""
}

func sharedObject(a, b render.Layer) (Object, bool) {
	in := map[Object]bool{}
	for _, raw := range b.Objects {
		if o, err := objectOf(raw); err == nil {
			in[o.id()] = true
		}
	}
	for _, raw := range a.Objects {
		if o, err := objectOf(raw); err == nil && in[o.id()] {
			return o, true
		}
	}
	return Object{}, false
}

// known drops dependencies on layers that are not in the list: a layer as last
// confirmed may depend on one that has gone since.
func known(layers []render.Layer) []render.Layer {
	out := slices.Clone(layers)
	for i, l := range out {
		out[i].DependsOn = slices.DeleteFunc(slices.Clone(l.DependsOn), func(dep string) bool {
			return !slices.ContainsFunc(layers, func(o render.Layer) bool { return o.Name == dep })
		})
	}
	return out
}

// rollsBack says whether a layer may be put back by applying the older version
// of it. Unless it says, one that touches CRDs, storage or Jobs in either version
// holds instead: undoing these may lose more than it mends.
func rollsBack(l, old render.Layer) bool {
	switch l.Rollback {
	case fleet.RollbackAuto:
		return true
	case fleet.RollbackHold:
		return false
	}
	return !slices.ContainsFunc(slices.Concat(l.Objects, old.Objects), func(raw json.RawMessage) bool {
		o, err := objectOf(raw)
		return err != nil || slices.Contains([]string{
			"CustomResourceDefinition", "PersistentVolume", "PersistentVolumeClaim", "StatefulSet", "StorageClass", "Job", "CronJob",
		}, o.Kind)
	})
}

// rolledBack reports a revision that runs but for some of its layers.
func rolledBack(desired []render.Layer, kept map[string]string, verdicts []Verdict) error {
	var parts []string
	bad := false
	for _, l := range desired {
		if why := kept[l.Name]; why != "" {
			parts = append(parts, fmt.Sprintf("layer %s stays as last confirmed: %s", l.Name, shortly(why)))
			bad = bad || slices.ContainsFunc(verdicts, func(v Verdict) bool { return v.Digest == l.Digest })
		}
	}
	if len(parts) == 0 {
		return nil
	}
	return &putBack{strings.Join(parts, "; "), bad}
}

// shortly is the beginning of what the verdict, or the layer, says in full.
func shortly(why string) string {
	const most = 120
	letters := []rune(why)
	if len(letters) <= most {
		return why
	}
	return string(letters[:most]) + "…"
}

type putBack struct {
	text string
	bad  bool // some layer is; the others only wait
}

func (p *putBack) Error() string { return p.text }

// Hint says how to go on.
func (p *putBack) Hint() string {
	if !p.bad {
		return "it goes on by itself then; or sooner: holdfast resume, or a commit that drops spec.suspend"
	}
	return "mend the layer in a new commit; or, if the cause was elsewhere and is gone: holdfast retry"
}
