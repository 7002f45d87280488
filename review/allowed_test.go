package review_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-fleet/holdfast/fleet"
	"github.com/holdfast-fleet/holdfast/gitsource/gitsourcetest"
	"github.com/holdfast-fleet/holdfast/review"
)

func permits(t *testing.T, texts ...string) []fleet.Permit {
	t.Helper()
	var list []fleet.Permit
	for _, text := range texts {
		p, err := fleet.ParsePermit(text)
		require.NoError(t, err)
		list = append(list, p)
	}
	return list
}

func TestWhatHostsHoldBackIsSaidWithTheWayOut(t *testing.T) {
	t.Parallel()
	const merged = "as a commit allows (if it is merged by a commit of its own, that one must say so, too)"
	const space, text = "apiVersion: v1\nkind: Namespace\nmetadata: {name: extras}\n---\n", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, namespace: extras}\n"
	for _, tt := range []struct {
		name   string
		change func(e *example)
		allow  fleet.Permits
		want   map[string]string // note by object
	}{
		{"a namespace", func(e *example) { e.layer("extras", text) }, fleet.Permits{},
			map[string]string{"Namespace extras": `hosts hold it: it stays in the cluster until a commit says "Allow-Prune: Namespace extras"`}},
		{"a namespace that a commit names", func(e *example) { e.layer("extras", text) }, fleet.Permits{Prune: permits(t, "Namespace extras")},
			map[string]string{"Namespace extras": "hosts delete it, " + merged}},
		{"a namespace that the site names", func(e *example) {
			e.layer("extras", text)
			e.edit("sites/apac/kiosk-001/site.yaml", "spec:", "spec:\n  prune: {allow: [Namespace extras]}")
		}, fleet.Permits{}, map[string]string{"Namespace extras": "hosts delete it: spec.prune of the site allows that"}},
		{"a permit for another", func(e *example) { e.layer("extras", text) }, fleet.Permits{Prune: permits(t, "Namespace extra", "layer extras"), Recreate: permits(t, "Namespace extras")},
			map[string]string{"Namespace extras": `hosts hold it: it stays in the cluster until a commit says "Allow-Prune: Namespace extras"`}},
		{"a layer, and not what is precious in it", func(e *example) { e.edit("profiles/kiosk/profile.yaml", "    - name: extras\n", "") }, fleet.Permits{Prune: permits(t, "layer extras")},
			map[string]string{"layer extras": "hosts delete it, " + merged, "Namespace extras": `hosts hold it: it stays in the cluster until a commit says "Allow-Prune: Namespace extras"`}},
		{"a layer that nobody names", func(e *example) { e.edit("profiles/kiosk/profile.yaml", "    - name: extras\n", "") }, fleet.Permits{Prune: permits(t, "Namespace extras")},
			map[string]string{"layer extras": `hosts hold it: it stays in the cluster until a commit says "Allow-Prune: layer extras"`, "Namespace extras": "hosts delete it, " + merged}},
		{"a field that cannot be changed", func(e *example) { e.layer("tools", replace(tools, "clean:1", "clean:2", "0.77", "0.78")) }, fleet.Permits{Recreate: permits(t, "Job kiosk/clean")},
			map[string]string{"Job kiosk/clean": "hosts delete it and make it anew, " + merged,
				"Service kiosk/fixed": `its layer fails until the object has another name, or a commit says "Allow-Recreate: Service kiosk/fixed"`}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			e := newExample(t)
			e.layer("extras", space+text)
			e.layer("tools", tools)
			base := e.repo.Commit(gitsourcetest.Commit{})
			tt.change(e)
			c, err := e.tryDiff(base, e.repo.Commit(gitsourcetest.Commit{}), review.Options{Allow: tt.allow})
			require.NoError(t, err)
			said := map[string]string{}
			for _, g := range c.Groups {
				if g.Danger != "" {
					said[g.Object] = g.Note
				}
			}
			require.Equal(t, tt.want, said)
		})
	}
}

// TestWhatACommitAllowsIsMadeAnew has a real API server do what hosts do: what may
// go goes, and what comes for it is judged as any new object is.
func TestWhatACommitAllowsIsMadeAnew(t *testing.T) {
	t.Parallel()
	const claim = "---\napiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {name: data, namespace: kiosk}\nspec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}\n"
	e := newExample(t)
	e.layer("tools", tools+claim)
	base := e.repo.Commit(gitsourcetest.Commit{})
	e.layer("tools", replace(tools+claim, "clean:1", "clean:2", "0.77", "0.78", "Once]", "Many]"))
	head := e.repo.Commit(gitsourcetest.Commit{})
	c := e.serve(base, head, 1, permits(t, "Job kiosk/clean", "PersistentVolumeClaim kiosk/data")...)
	said := map[string][]review.FindingKind{}
	for _, f := range c.Server.Findings {
		if f.Kind != review.Live {
			said[f.Object] = append(said[f.Object], f.Kind)
		}
	}
	require.Equal(t, map[string][]review.FindingKind{
		"Job kiosk/clean":                  {review.MadeAnew},
		"PersistentVolumeClaim kiosk/data": {review.MadeAnew, review.Untried},
		"Service kiosk/fixed":              {review.Refused},
	}, said)
	require.Equal(t, 1, c.Server.Refusals())

	e.layer("tools", replace(tools+claim, "clean:1", "clean:3", "Never", "Sometimes"))
	c = e.serve(base, e.repo.Commit(gitsourcetest.Commit{}), 1, permits(t, "Job kiosk/clean")...)
	require.Equal(t, 1, c.Server.Refusals(), c.Server.Findings)
	for _, f := range c.Server.Findings {
		if f.Kind == review.Refused {
			require.Equal(t, "Job kiosk/clean", f.Object)
			require.Contains(t, f.Message, "Sometimes")
		}
	}
}
