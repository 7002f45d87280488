package review

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/holdfast-fleet/holdfast/fleet"
	"github.com/holdfast-fleet/holdfast/kinds"
	"github.com/holdfast-fleet/holdfast/render"
)

// optOut is the annotation of objects that are not linted, if it says disabled.
const optOut = "holdfast.dev/lint"

// objectChecker checks rendered objects: each that sites share once, and of one
// that variables are in, each variant that its schema tells from the others.
type objectChecker struct {
	*linter
	distributions cache[string, distribution]
	apis          cache[string, *api]
	layers        cache[layerKey, *layerCheck]
	variants      cache[variantKey, []fleet.Problem]
	origins       cache[string, render.Origins]
}

// layerKey is what the check of a layer depends on but for the values of a site.
type layerKey struct {
	built, api string
	profile    *fleet.Profile
}

// variantKey is one of the shapes of a layer as some sites have it.
type variantKey struct {
	layerKey
	shape   int
	variant string
}

// api is what a site's cluster takes.
type api struct {
	name  string
	known *kinds.Known
}

// layerCheck is what is the same at all sites of a profile, of one API, that
// share a layer.
type layerCheck struct {
	found    []fleet.Problem
	unlocked []string
	varying  []int    // shapes that sites decide
	exact    [][]bool // of the slots of those: text makes a difference
}

func newObjectChecker(l *linter) *objectChecker { return &objectChecker{linter: l} }

// builtLayer is a layer of a site, before the values of the site are in it.
type builtLayer struct {
	layer fleet.Layer
	*render.Shapes
}

// site checks all objects of a site that its layers build.
func (c *objectChecker) site(site *fleet.Site) ([]fleet.Problem, error) {
	var layers []builtLayer
	for _, layer := range site.Profile.Layers {
		shapes, err := c.renderer.Shapes(site, layer)
		if err != nil {
			return nil, err
		}
		layers = append(layers, builtLayer{layer, shapes})
	}
	values := render.ValuesOf(site)
	known, found, err := c.api(site, layers, values)
	if err != nil {
		return nil, err
	}
	unlocked := map[string]bool{}
	for _, layer := range layers {
		at := objectPlace{site: site, layer: layer, values: values, api: known}
		problems, refs, err := c.layer(at)
		if err != nil {
			return nil, err
		}
		found = append(found, problems...)
		for _, ref := range refs {
			unlocked[ref] = true
		}
	}
	if len(unlocked) > 0 && len(site.Profile.Lock.Images) == 0 {
		found = append(found, noLock(site.Profile, slices.Sorted(maps.Keys(unlocked))))
	}
	return found, nil
}

func noLock(p *fleet.Profile, refs []string) fleet.Problem {
	return fleet.Problem{File: p.Dir + "/profile.yaml", Rule: fleet.RuleUnlockedImage,
		Msg: "content.lock has no digest of the profile's images: " + some(refs, 3), Tip: lockTip(p)}
}

func lockTip(p *fleet.Profile) string {
	return fmt.Sprintf("holdfast lock %s --store CONTENT writes it", p.Name)
}

// objectPlace is where an object is checked.
type objectPlace struct {
	site   *fleet.Site
	layer  builtLayer
	values render.Values
	api    *api
}

// layer checks one layer of a site, and names the images without a digest if the
// profile has no lock.
func (c *objectChecker) layer(at objectPlace) (found []fleet.Problem, unlocked []string, err error) {
	key := layerKey{at.layer.Key, at.api.name, at.site.Profile}
	check, err := c.layers.get(key, func() (*layerCheck, error) { return c.fixed(at) })
	if err != nil {
		return nil, nil, err
	}
	found, unlocked = check.found, check.unlocked
	for i, n := range check.varying {
		shape := at.layer.List[n]
		refs, variant, err := variantOf(shape, at, check.exact[i])
		if err != nil {
			return nil, nil, err
		}
		unlocked = append(slices.Clip(unlocked), refs...)
		look := func() ([]fleet.Problem, error) { return c.shape(shape, at) }
		var more []fleet.Problem
		if shape.Named() {
			more, err = look()
		} else {
			more, err = c.variants.get(variantKey{key, n, variant}, look)
		}
		if err != nil {
			return nil, nil, err
		}
		found = append(slices.Clip(found), more...)
	}
	return found, unlocked, nil
}

// fixed checks the objects of a layer that no site decides.
func (c *objectChecker) fixed(at objectPlace) (*layerCheck, error) {
	check := &layerCheck{}
	for n, shape := range at.layer.List {
		if shape.Varies() {
			check.varying = append(check.varying, n)
			check.exact = append(check.exact, exactSlots(shape, at.api.known))
			continue
		}
		found, err := c.shape(shape, at)
		if err != nil {
			return nil, err
		}
		refs, _, err := variantOf(shape, at, nil)
		if err != nil {
			return nil, err
		}
		check.found, check.unlocked = append(check.found, found...), append(check.unlocked, refs...)
	}
	return check, nil
}

// exactSlots tells at which slots one text is not as good as another.
func exactSlots(shape render.Shape, known *kinds.Known) []bool {
	exact := make([]bool, len(shape.Slots))
	for i, s := range shape.Slots {
		exact[i] = s.Varies && (s.Image || configuresWebhooks(shape) || !known.TakesAnyText(shape.APIVersion, shape.Kind, s.At))
	}
	return exact
}

// variantOf says what a site makes of a shape, as far as that matters, and which
// images have no digest.
func variantOf(shape render.Shape, at objectPlace, exact []bool) (unlocked []string, variant string, err error) {
	var b strings.Builder
	for i, s := range shape.Slots {
		if !s.Image && !s.Varies {
			continue
		}
		value, err := shape.Value(at.values, i)
		if err != nil {
			return nil, "", err
		}
		text, isText := value.(string)
		if s.Image && isText && text != "" && render.Pinned(text, at.site.Profile.Lock) == "" {
			unlocked = append(unlocked, text)
		}
		if exact != nil && (!isText || exact[i]) {
			fmt.Fprintf(&b, "%d=%q ", i, fmt.Sprint(value))
		}
	}
	return unlocked, b.String(), nil
}

// shape checks one object as a site has it.
func (c *objectChecker) shape(shape render.Shape, at objectPlace) ([]fleet.Problem, error) {
	object, raw, err := shape.Object(at.values)
	if err != nil {
		return nil, err
	}
	faults := at.api.known.Check(kinds.Object{APIVersion: object.APIVersion, Kind: object.Kind, JSON: raw})
	doubts := append(imageFaults(object, at), webhookFaults(object, raw, at.site)...)
	if len(faults)+len(doubts) == 0 || optedOut(raw) {
		return nil, nil
	}
	origins, err := c.originsOf(shape, at)
	if err != nil {
		return nil, err
	}
	origin := origins.Of(object.APIVersion, object.Kind, object.Namespace, object.Name)
	for _, f := range faults {
		p := fleet.Problem{Msg: f.Msg, Tip: f.Tip, Rule: map[kinds.Wrong]fleet.Rule{kinds.Removed: fleet.RuleRemovedAPI, kinds.Unknown: fleet.RuleUnknownKind}[f.Wrong]}
		if p.Rule == "" {
			p.Rule = fleet.RuleSchema
		}
		for _, s := range shape.Slots {
			if s.Varies && slices.Equal(s.At, f.At) {
				p.Msg += ", written " + s.Text
			}
		}
		doubts = append(doubts, fault{p, f.At})
	}
	var found []fleet.Problem
	for _, f := range doubts {
		f.File, f.Line = origin.Field(f.at...)
		f.Msg = object.String() + ": " + f.Msg
		found = append(found, f.Problem)
	}
	return found, nil
}

// fault is a problem of a field of an object.
type fault struct {
	fleet.Problem
	at []string
}

// originsOf finds where the objects of a layer come from.
func (c *objectChecker) originsOf(shape render.Shape, at objectPlace) (render.Origins, error) {
	find := func() (render.Origins, error) { return c.renderer.Origins(at.site, at.layer.layer) }
	if shape.Named() {
		return find()
	}
	return c.origins.get(at.layer.Key, find)
}

func optedOut(raw json.RawMessage) bool {
	var o struct {
		Metadata struct{ Annotations map[string]any }
	}
	return json.Unmarshal(raw, &o) == nil && o.Metadata.Annotations[optOut] == "disabled"
}

// imageFaults says which images of an object may be another one tomorrow.
func imageFaults(object render.Shape, at objectPlace) []fault {
	var found []fault
	for i, s := range object.Slots {
		value, err := object.Value(at.values, i)
		ref, isText := value.(string)
		if err != nil || !s.Image || !isText || ref == "" {
			continue
		}
		lock := at.site.Profile.Lock
		if len(lock.Images) > 0 && render.Pinned(ref, lock) == "" {
			found = append(found, fault{fleet.Problem{Rule: fleet.RuleUnlockedImage, Msg: fmt.Sprintf("image %s has no digest in %s/content.lock", ref, at.site.Profile.Dir), Tip: lockTip(at.site.Profile)}, s.At})
		}
		if floating(ref) {
			found = append(found, fault{fleet.Problem{Rule: fleet.RuleFloatingImage, Msg: fmt.Sprintf("image %s has no tag that stays", ref), Tip: "name a version, such as " + strings.TrimSuffix(ref, ":latest") + ":1.2.3, or a digest"}, s.At})
		}
	}
	return found
}

// floating tells whether a reference has neither a digest nor a tag of a version.
func floating(ref string) bool {
	if strings.Contains(ref, "@") {
		return false
	}
	_, tag, tagged := strings.Cut(ref[strings.LastIndexByte(ref, '/')+1:], ":")
	return !tagged || tag == "latest"
}

// cache keeps what many sites ask for, found out once.
type cache[K comparable, T any] struct{ entries sync.Map }

type entry[T any] struct {
	sync.Once
	value T
	err   error
}

func (c *cache[K, T]) get(key K, find func() (T, error)) (T, error) {
	got, ok := c.entries.Load(key)
	if !ok {
		got, _ = c.entries.LoadOrStore(key, &entry[T]{})
	}
	e := got.(*entry[T])
	e.Do(func() { e.value, e.err = find() })
	return e.value, e.err
}
