package review_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-fleet/holdfast/fleet"
	"github.com/holdfast-fleet/holdfast/gitsource/gitsourcetest"
	"github.com/holdfast-fleet/holdfast/review"
	"github.com/holdfast-fleet/holdfast/secrets"
)

const stranger = "age1f7xwkjw0t5npfwmncv3rjk29nlvnjfcprath7tj6ue8jalhml5xswmj262"

// encrypt writes a SOPS document for hosts of the example, or for nobody among them.
func (e *example) encrypt(file string, hosts ...string) {
	e.t.Helper()
	rule := secrets.Rule{Recipients: []string{stranger}}
	for _, host := range hosts {
		rule.Recipients = append(rule.Recipients, e.identity(host))
	}
	data, err := secrets.Encrypt(file, []byte("password: hunter2\n"), rule, time.Unix(1_700_000_000, 0))
	require.NoError(e.t, err)
	e.repo.Write(file, string(data))
}

func (e *example) identity(host string) string {
	for _, s := range e.load("HEAD").Sites {
		for _, h := range s.Hosts {
			if h.Name == host {
				return h.Identity
			}
		}
	}
	require.Fail(e.t, "no such host", host)
	return ""
}

const (
	storeHost = "store-043-a"
	kioskHost = "kiosk-001-a"
)

func TestWarningsNameWhatToSeeTo(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name           string
		before, change func(e *example)
		want           []string // kind, object: hosts
	}{
		{"a secret that all can open is none", nil, func(e *example) { e.encrypt("bases/password.yaml", storeHost, kioskHost) }, nil},
		{"a secret that a host within reach cannot open", nil, func(e *example) { e.encrypt("bases/password.yaml", storeHost) },
			[]string{"unreadable-secret bases/password.yaml: kiosk-001-a"}},
		{"one out of its reach is not for it", nil, func(e *example) { e.encrypt("profiles/web-shop/password.yaml", storeHost) }, nil},
		{"a group's secret", nil, func(e *example) { e.encrypt("sites/emea/password.yaml") }, []string{"unreadable-secret sites/emea/password.yaml: store-043-a"}},
		{"a new host that was not added to the recipients", func(e *example) {
			e.encrypt("sites/emea/password.yaml", storeHost)
			e.encrypt("profiles/web-shop/password.yaml", storeHost)
			e.encrypt("profiles/kiosk/password.yaml")
		}, func(e *example) {
			e.repo.Write("sites/emea/store-042/hosts/store-042-a.yaml", "apiVersion: holdfast.dev/v1alpha1\nkind: Host\nmetadata: {name: store-042-a}\nspec:\n  identity: ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n")
		}, []string{"unreadable-secret profiles/web-shop/password.yaml: store-042-a", "unreadable-secret sites/emea/password.yaml: store-042-a"}},
		{"a site that gets another profile", func(e *example) { e.encrypt("profiles/kiosk/password.yaml", kioskHost) }, func(e *example) {
			e.repo.Write(store43+"site.yaml", "apiVersion: holdfast.dev/v1alpha1\nkind: Site\nmetadata: {name: store-043}\nspec: {profile: kiosk, variables: {KIOSK_ID: \"1\"}}\n")
			e.repo.Git("rm", "-rq", store43+"addons")
		}, []string{"unreadable-secret profiles/kiosk/password.yaml: store-043-a"}},
		{"what was so before and does not change is for secrets check", func(e *example) { e.encrypt("bases/password.yaml") },
			func(e *example) { e.edit(store43+"site.yaml", "Bonjour: entrez !", "Hallo") }, nil},
		{"a document that is only for PGP", nil, func(e *example) {
			e.repo.Write("profiles/kiosk/pgp.yaml", "a: ENC[x]\nsops:\n    pgp:\n        - {fp: AAAA, enc: x}\n    lastmodified: \"2026-11-24T12:00:00Z\"\n    mac: x\n")
		}, []string{"unreadable-secret profiles/kiosk/pgp.yaml: kiosk-001-a"}},
		{"another tag of an image that runs, without a digest", nil, func(e *example) { e.edit(web, "web:1.0.0", "web:1.0.1") },
			[]string{"unlocked-image holdfast.dev/example/web:1.0.1: kiosk-001-a store-043-a"}},
		{"a repository that is new", nil, func(e *example) { e.edit(web, "example/web:1.0.0", "example/wep:1.0.0") },
			[]string{"new-repository holdfast.dev/example/wep: kiosk-001-a store-043-a", "unlocked-image holdfast.dev/example/wep:1.0.0: kiosk-001-a store-043-a"}},
		{"a registry that is new", nil, func(e *example) {
			e.edit(web, "holdfast.dev/example/web:1.0.0", "evil.example:5000/web@sha256:"+strings.Repeat("0", 64))
		},
			[]string{"new-repository evil.example:5000/web: kiosk-001-a store-043-a"}},
		{"a repository that a lock knows", func(e *example) {
			e.repo.Write("profiles/kiosk/content.lock", "apiVersion: holdfast.dev/v1alpha1\nkind: ContentLock\nspec:\n  images:\n    busybox:1: sha256:"+strings.Repeat("0", 64)+"\n")
		}, func(e *example) {
			e.edit("profiles/kiosk/addons/page/kustomization.yaml", "resources:", "resources:\n  - pod.yaml")
			e.repo.Write("profiles/kiosk/addons/page/pod.yaml", "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec: {containers: [{name: a, image: \"docker.io/library/busybox:1\"}]}\n")
		}, []string{"unlocked-image docker.io/library/busybox:1: kiosk-001-a"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			e := newExample(t)
			if tt.before != nil {
				tt.before(e)
				e.base = e.repo.Commit(gitsourcetest.Commit{})
			}
			tt.change(e)
			c := e.diff(e.base, e.repo.Commit(gitsourcetest.Commit{}))
			var got []string
			for _, g := range c.Warnings {
				got = append(got, string(g.Kind)+" "+g.Object+": "+strings.Join(g.Hosts, " "))
				require.NotEmpty(t, g.Sites)
			}
			require.Equal(t, tt.want, got)
		})
	}
}

func TestWhatAClusterDoesNotTakeIsDangerous(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, old, current, want string }{
		{"a patch", "v1.36.3", "v1.36.4", ""},
		{"a minor version", "v1.36.3", "v1.37.0", ""},
		{"two of them", "v1.36.3", "v1.38.0", "Kubernetes goes up one minor version at a time: from v1.36.3 to v1.37 first"},
		{"one back", "v1.36.3", "v1.35.9", "Kubernetes does not go back from v1.36.3 to v1.35.9: what is in etcd may be unreadable to it"},
		{"an older patch", "v1.36.3", "v1.36.2", "an older patch of Kubernetes: what it mended is broken again"},
		{"a network", "10.244.0.0/24", "10.9.0.0/24", "a live cluster keeps the networks that it was set up with"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			e := newExample(t)
			e.edit(node, tt.old, tt.current)
			c := e.diff(e.base, e.repo.Commit(gitsourcetest.Commit{}))
			require.NotEmpty(t, c.Groups)
			for _, g := range c.Groups {
				require.Equal(t, review.Distribution, g.Kind)
				require.Equal(t, tt.want, g.Danger)
			}
		})
	}
}

func TestAVersionThatNoHostKnowsIsRefused(t *testing.T) {
	t.Parallel()
	e := newExample(t)
	e.edit(node, "v1.36.3", "v1.99.0")
	_, err := e.tryDiff(e.base, e.repo.Commit(gitsourcetest.Commit{}), review.Options{Check: func(d fleet.Distribution) error {
		if d.Version == "v1.36.3" {
			return nil
		}
		return errors.New("no host knows " + d.Version)
	}})
	found := fleet.Problems(err)
	require.Len(t, found, 1)
	require.Equal(t, fleet.Problem{File: node, Line: 7, Rule: fleet.RuleDistributionVersion, Msg: "no host knows v1.99.0"}, *found[0])
}

func TestALayerThatGoesIsDangerous(t *testing.T) {
	t.Parallel()
	e, head := changed(t)
	c := e.diff(e.base, head)
	var said []string
	for _, g := range c.Groups {
		if strings.HasPrefix(g.Object, "layer crds") {
			said = append(said, string(g.Kind)+": "+g.Danger)
		}
	}
	require.Equal(t, []string{"delete: all of the layer goes: 1 object"}, said)
}
