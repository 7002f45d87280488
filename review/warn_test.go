package review_test

import (
	"errors"
	"slices"
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

// encrypt writes a Secret for hosts of the example, or for nobody among them.
func (e *example) encrypt(file string, hosts ...string) {
	e.t.Helper()
	rule := secrets.Rule{Recipients: []string{stranger}, Selection: secrets.Selection{EncryptedRegex: "^stringData$"}}
	for _, host := range hosts {
		rule.Recipients = append(rule.Recipients, e.identity(host))
	}
	data, err := secrets.Encrypt(file, []byte("apiVersion: v1\nkind: Secret\nmetadata: {name: db}\nstringData: {password: hunter2}\n"), rule, time.Unix(1_700_000_000, 0))
	require.NoError(e.t, err)
	e.repo.Write(file, string(data))
}

// hold writes an encrypted Secret, and puts it into the kustomization beside it.
func (e *example) hold(dir string, hosts ...string) {
	e.t.Helper()
	e.encrypt(dir+"secret.yaml", hosts...)
	e.edit(dir+"kustomization.yaml", "resources:", "resources:\n  - secret.yaml")
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
		{"a secret that all can open is none", nil, func(e *example) { e.hold("bases/web/", storeHost, kioskHost) }, nil},
		{"a secret that a host needs and cannot open", nil, func(e *example) { e.hold("bases/web/", storeHost) },
			[]string{"unreadable-secret bases/web/secret.yaml: kiosk-001-a"}},
		{"one that is within its reach, but in no layer, it does not need", nil, func(e *example) { e.encrypt("bases/password.yaml") }, nil},
		{"one in a layer of another profile neither", nil, func(e *example) { e.hold(page, kioskHost) }, nil},
		{"one in the layer of a site alone", nil, func(e *example) { e.hold(store43 + "addons/shop/") }, []string{"unreadable-secret " + store43 + "addons/shop/secret.yaml: store-043-a"}},
		{"a new host that was not added to the recipients", func(e *example) {
			e.hold(shop, storeHost)
			e.hold(page)
		}, func(e *example) {
			e.repo.Write("sites/emea/store-042/hosts/store-042-a.yaml", hostFile(1))
		}, []string{"unreadable-secret " + shop + "secret.yaml: store-042-a"}},
		{"a worker applies nothing", func(e *example) {
			e.hold(shop, storeHost)
			e.edit(store43+"hosts/store-043-a.yaml", "  state: active\n", "  network: {address: 10.0.0.10}\n")
		}, func(e *example) {
			e.repo.Write(store43+"hosts/store-043-b.yaml", hostFile(1)+"  role: worker\n")
		}, nil},
		{"a worker that becomes a control-plane host does", func(e *example) {
			e.hold(shop, storeHost)
			e.edit(store43+"hosts/store-043-a.yaml", "  state: active\n", "  network: {address: 10.0.0.10}\n")
			e.repo.Write(store43+"hosts/store-043-b.yaml", hostFile(1)+"  role: worker\n")
			e.repo.Write(store43+"hosts/store-043-c.yaml", hostFile(2)+"  role: worker\n")
		}, func(e *example) {
			e.repo.Write(store43+"hosts/store-043-b.yaml", hostFile(1))
			e.repo.Write(store43+"hosts/store-043-c.yaml", hostFile(2))
		}, []string{"unreadable-secret " + shop + "secret.yaml: store-043-b store-043-c"}},
		{"a site that gets another profile", func(e *example) { e.hold(page, kioskHost) }, func(e *example) {
			e.repo.Write(store43+"site.yaml", "apiVersion: holdfast.dev/v1alpha1\nkind: Site\nmetadata: {name: store-043}\nspec: {profile: kiosk, variables: {KIOSK_ID: \"1\"}}\n")
			e.repo.Git("rm", "-rq", store43+"addons")
		}, []string{"unreadable-secret " + page + "secret.yaml: store-043-a"}},
		{"a change of the layer, which will not come to the host", func(e *example) { e.hold(shop) },
			func(e *example) { e.edit(store43+"site.yaml", "Bonjour: entrez !", "Hallo") }, []string{"unreadable-secret " + shop + "secret.yaml: store-043-a"}},
		{"what was so before and does not change is for lint", func(e *example) { e.hold("profiles/web-shop/addons/platform/") },
			func(e *example) { e.edit(store43+"site.yaml", "Bonjour: entrez !", "Hallo") }, nil},
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

// hostFile is one with a key of its own.
func hostFile(n byte) string {
	return "apiVersion: holdfast.dev/v1alpha1\nkind: Host\nspec:\n  identity: ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA" + string('A'+n) + "A\n  network: {address: 10.0.0.1" + string('0'+n) + "}\n"
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

// TestAnUpgradeThatHostsRefuseIsRefused: unless a commit allows that they go back.
func TestAnUpgradeThatHostsRefuseIsRefused(t *testing.T) {
	t.Parallel()
	e := newExample(t)
	e.edit(node, "v1.36.3", "v1.35.9")
	head := e.repo.Commit(gitsourcetest.Commit{})
	o := review.Options{CheckUpgrade: func(was, is fleet.Distribution, allow []string) error {
		require.Equal(t, "v1.36.3", was.Version)
		if slices.Contains(allow, is.Version) {
			return nil
		}
		return fleet.CheckUpgrade(was.Version, is.Version)
	}}
	_, err := e.tryDiff(e.base, head, o)
	found := fleet.Problems(err)
	require.Len(t, found, 1)
	require.Equal(t, fleet.Problem{File: node, Line: 7, Rule: fleet.RuleDistributionVersion, Msg: "Kubernetes does not go back from v1.36.3 to v1.35.9: what is in etcd may be unreadable to it",
		Tip: "set the version back; or, where a commit says \"Allow-Downgrade: v1.35.9\", hosts go back to it, with the data of before the upgrade"}, *found[0])
	o.Allow.Downgrade = []string{"v1.35.9"}
	_, err = e.tryDiff(e.base, head, o)
	require.NoError(t, err)
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
