package reconciler

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-fleet/holdfast/fleet"
	"github.com/holdfast-fleet/holdfast/gitsource"
)

func TestWhatIsHeld(t *testing.T) {
	t.Parallel()
	lamps := Object{Group: "apiextensions.k8s.io", Version: "v1", Kind: "CustomResourceDefinition", Name: "lamps.example.com"}
	lamp := Object{Group: "example.com", Version: "v1", Kind: "Lamp", Namespace: "hall", Name: "one"}
	data := Object{Version: "v1", Kind: "PersistentVolumeClaim", Namespace: "shop", Name: "data"}
	many := make([]Object, 20)
	for i := range many {
		many[i] = Object{Version: "v1", Kind: "ConfigMap", Namespace: "shop", Name: fmt.Sprint("text-", i)}
	}
	for _, tt := range []struct {
		name     string
		old, new map[string][]Object
		allow    string // a permit
		gone     int
		held     string // why, of the first that is
	}{
		{"an object that left its layer goes", map[string][]Object{"shop": {web, text}}, map[string][]Object{"shop": {web}}, "", 1, ""},
		{"a Namespace is held", map[string][]Object{"shop": {web, space}}, map[string][]Object{"shop": {lamp}}, "", 1, "all that is in it goes with it"},
		{"a Namespace that is named goes", map[string][]Object{"shop": {web, space}}, map[string][]Object{"shop": {lamp}}, "Namespace shop", 2, ""},
		{"but not with what is still wanted in it", map[string][]Object{"shop": {web, space}}, map[string][]Object{"shop": {web}}, "Namespace shop", 0, "the fleet still wants Deployment shop/web, which would go with it"},
		{"a CRD stays for its objects", map[string][]Object{"shop": {lamps, lamp}}, map[string][]Object{"shop": {lamp}}, "CustomResourceDefinition lamps.example.com", 0, "the fleet still wants Lamp hall/one, which would go with it"},
		{"a claim is held, whatever is said of its layer", map[string][]Object{"shop": {web, data}}, map[string][]Object{"shop": {web}}, "layer shop", 0, "its data go with it"},
		{"a claim of that name elsewhere says nothing", map[string][]Object{"shop": {web, data}}, map[string][]Object{"shop": {web}}, "PersistentVolumeClaim bank/data", 0, "its data go with it"},
		{"a lost layer is held", map[string][]Object{"shop": {web}, "extra": {text}}, map[string][]Object{"shop": {web}}, "", 0, "layer extra is not in the profile any more"},
		{"a lost layer that is named goes", map[string][]Object{"shop": {web}, "extra": {text}}, map[string][]Object{"shop": {web}}, "layer extra", 1, ""},
		{"a layer that renders nothing is held", map[string][]Object{"shop": {web}, "extra": {text}}, map[string][]Object{"shop": {web}, "extra": nil}, "", 0, "layer extra renders nothing any more"},
		{"a lost layer whose objects moved is no loss", map[string][]Object{"shop": {web}, "extra": {text}}, map[string][]Object{"shop": {web, text}}, "", 0, ""},
		{"an empty rendering is held", map[string][]Object{"shop": {web}}, map[string][]Object{"shop": nil}, "", 0, "the whole rendering is empty"},
		{"too large a share is held", map[string][]Object{"shop": many}, map[string][]Object{"shop": many[:10]}, "", 0, "10 of 20 objects would go at once, more than 30 percent"},
		{"a share that is asked for goes", map[string][]Object{"shop": many}, map[string][]Object{"shop": many[:10]}, "layer shop", 10, ""},
		{"a small share goes", map[string][]Object{"shop": many}, map[string][]Object{"shop": many[:14]}, "", 6, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			old := inventory(tt.old)
			p := pruning{share: fleet.DefaultPruneShare, desired: tt.new, total: old.objects()}
			if tt.allow != "" {
				p.allowed = permits(tt.allow)
				require.Len(t, p.allowed, 1)
			}
			doomed, held := p.sort(old.without(inventory(tt.new)))
			require.Len(t, doomed, tt.gone)
			if tt.held == "" {
				require.Empty(t, held)
				return
			}
			require.NotEmpty(t, held)
			require.Equal(t, tt.held, held[0].Why)
			require.NotEmpty(t, held[0].Do)
		})
	}
}

func TestWhatMessagesAllow(t *testing.T) {
	t.Parallel()
	const a, b, c = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb", "cccccccccccccccccccccccccccccccccccccccc"
	orders := gitsource.Message{Commit: a, Text: "Remove the shop\n\nAllow-Prune: Namespace shop, layer extra\nallow-recreate: Job shop/setup\nSigned-off-by: A\n"}
	undone := gitsource.Message{Commit: b, Text: "Revert it\n\nThis reverts commit " + a + ".\n"}
	redone := gitsource.Message{Commit: c, Text: "Revert that\n\nThis reverts commit " + b + ".\n"}
	space, extra := fleet.Permit{Kind: "Namespace", Name: "shop"}, fleet.Permit{Layer: "extra"}
	given := intents{Prune: []fleet.Permit{space, extra}, Recreate: []fleet.Permit{{Kind: "Job", Namespace: "shop", Name: "setup"}}}
	for _, tt := range []struct {
		name string
		said []gitsource.Message // the newest first
		want intents
	}{
		{"trailers of the last paragraph", []gitsource.Message{orders}, given},
		{"what was reverted is void", []gitsource.Message{undone, orders}, intents{}},
		{"and counts again once that was", []gitsource.Message{redone, undone, orders}, given},
		{"a subject is no trailer", []gitsource.Message{{Text: "Allow-Prune: Namespace shop"}}, intents{}},
		{"nor is what stands before the last paragraph", []gitsource.Message{{Text: "x\n\nAllow-Prune: Namespace shop\n\nmore\n"}}, intents{}},
		{"what cannot be read allows nothing", []gitsource.Message{{Text: "x\n\nAllow-Prune: everything\nAllow-Prune: Namespace *\n"}}, intents{}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, tt.want, Intents(tt.said))
		})
	}
}
