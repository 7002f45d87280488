package reconciler

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-fleet/holdfast/fleet"
	"github.com/holdfast-fleet/holdfast/render"
)

func layer(name, digest string, dependsOn ...string) render.Layer {
	return render.Layer{Name: name, Digest: digest, DependsOn: dependsOn}
}

func TestAPlanKeepsWhatIsBadAsLastConfirmed(t *testing.T) {
	t.Parallel()
	confirmed := []render.Layer{layer("base", "b1"), layer("shop", "s1", "base", "gone")}
	for _, tt := range []struct {
		name    string
		desired []render.Layer
		bad     map[string]string
		want    []string // digests
		kept    map[string]string
	}{
		{"nothing bad: as desired", []render.Layer{layer("base", "b2"), layer("shop", "s2", "base")}, nil,
			[]string{"b2", "s2"}, map[string]string{}},
		{"a bad layer and what depends on it", []render.Layer{layer("base", "b2"), layer("shop", "s2", "base"), layer("free", "f1")},
			map[string]string{"b2": "sick"}, []string{"b1", "s1", "f1"}, map[string]string{"base": "sick", "shop": "waits for layer base"}},
		{"a new layer on a bad one is left out", []render.Layer{layer("base", "b2"), layer("new", "n1", "base")},
			map[string]string{"b2": "sick"}, []string{"b1"}, map[string]string{"base": "sick", "new": "waits for layer base"}},
		{"a layer that changed since is tried", []render.Layer{layer("base", "b3")}, map[string]string{"b2": "sick"},
			[]string{"b3"}, map[string]string{}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			layers, kept := plan(tt.desired, confirmed, tt.bad)
			var digests []string
			for _, l := range layers {
				digests = append(digests, l.Digest)
				require.NotContains(t, l.DependsOn, "gone", "a dependency that is not planned would never be done")
			}
			require.Equal(t, tt.want, digests)
			require.Equal(t, tt.kept, kept)
		})
	}
}

func TestLayersThatTouchStorageHold(t *testing.T) {
	t.Parallel()
	of := func(kind string) render.Layer {
		return render.Layer{Objects: []json.RawMessage{json.RawMessage(`{"apiVersion":"v1","kind":"` + kind + `","metadata":{"name":"x"}}`)}}
	}
	text, volume := of("ConfigMap"), of("PersistentVolumeClaim")
	require.True(t, rollsBack(text, text))
	require.False(t, rollsBack(volume, text))
	require.False(t, rollsBack(text, volume))
	require.False(t, rollsBack(of("CustomResourceDefinition"), text))
	require.False(t, rollsBack(of("Job"), text))

	volume.Rollback, text.Rollback = fleet.RollbackAuto, fleet.RollbackHold
	require.True(t, rollsBack(volume, of("Job")), "who writes auto means it")
	require.False(t, rollsBack(text, of("ConfigMap")))
}

func TestALayerIsTriedAgainAsOftenAsItSays(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_000_000, 0)
	l := render.Layer{Timeout: time.Minute}
	require.True(t, new(trial).condemns(l, true, now), "without retry, the first time that it does not become healthy")
	l.Retry = 2
	sick := new(trial)
	require.False(t, sick.condemns(l, true, now))
	require.False(t, sick.condemns(l, true, now.Add(time.Hour)))
	require.True(t, sick.condemns(l, true, now.Add(2*time.Hour)))
	refused := new(trial)
	require.False(t, refused.condemns(l, false, now))
	require.False(t, refused.condemns(l, false, now.Add(3*time.Minute-1)))
	require.True(t, refused.condemns(l, false, now.Add(3*time.Minute)), "as long as three tries may take")
}
