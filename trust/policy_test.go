package trust_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-fleet/holdfast/gitsource/gitsourcetest"
	"github.com/holdfast-fleet/holdfast/trust"
)

const policyHead = "apiVersion: holdfast.dev/v1alpha1\nkind: TrustPolicy\nspec:\n"

const policyBody = `  mode: commit
  groups:
    owners: [olga@x]
    platform: [alice@x, bob@x]
    ops: [carol@x]
  rules:
  - paths: [trust/**, agent.yaml]
    groups: [owners]
  - paths: ["sites/emea/**"]
    groups: [ops, platform]
    threshold: 1
  - paths: ["profiles/*/addons/**", "**/README.md"]
    groups: [platform]
`

func TestPolicyCheck(t *testing.T) {
	t.Parallel()
	policy, err := trust.ParsePolicy("trust/policy.yaml", []byte(policyHead+policyBody))
	require.NoError(t, err)
	for _, tt := range []struct {
		name, signer string
		paths        []string
		want         string
	}{
		{"nothing is changed", "carol@x", nil, ""},
		{"nothing is changed by somebody without a right", "nobody@x", nil, "forbidden path: nothing changes, and no rule of the policy lets nobody@x change anything"},
		{"an allowed path", "carol@x", []string{"sites/emea/paris/site.yaml"}, ""},
		{"either group", "bob@x", []string{"sites/emea/paris/site.yaml"}, ""},
		{"an exact path", "olga@x", []string{"agent.yaml", "trust/policy.yaml"}, ""},
		{"a star is one folder", "alice@x", []string{"profiles/shop/addons/web/kustomization.yaml"}, ""},
		{"two stars are none or more folders", "alice@x", []string{"README.md", "sites/README.md", "a/b/README.md"}, ""},
		{"another's path", "carol@x", []string{"trust/policy.yaml"}, "forbidden path: trust/policy.yaml may be changed by owners (olga@x), not by carol@x"},
		{"one of several", "carol@x", []string{"sites/emea/a", "agent.yaml"}, "forbidden path: agent.yaml may be changed by owners (olga@x), not by carol@x"},
		{"the first rule that matches decides", "alice@x", []string{"trust/README.md"}, "forbidden path: trust/README.md may be changed by owners (olga@x), not by alice@x"},
		{"a path without a rule", "olga@x", []string{"fleet.yaml"}, "forbidden path: fleet.yaml: no rule of the policy lets anybody change it"},
		{"the folder's own name is not in it", "carol@x", []string{"sites/emea"}, "forbidden path: sites/emea: no rule of the policy lets anybody change it"},
		{"a longer name is not in it", "carol@x", []string{"sites/emea2/x"}, "forbidden path: sites/emea2/x: no rule of the policy lets anybody change it"},
		{"names are not patterns", "*", []string{"agent.yaml"}, "forbidden path: agent.yaml may be changed by owners (olga@x), not by *"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			err := policy.Check([]trust.Signer{{Name: tt.signer}}, tt.paths)
			if tt.want == "" {
				require.NoError(t, err)
				return
			}
			require.EqualError(t, err, tt.want)
			require.ErrorIs(t, err, trust.ErrForbiddenPath)
		})
	}
}

func TestParsePolicyProblems(t *testing.T) {
	t.Parallel()
	good := policyHead + policyBody
	for _, tt := range []struct{ name, text, want string }{
		{"empty", "", "p: policy is empty"},
		{"no mapping", "hello", "p:1: "},
		{"another version", strings.Replace(good, "v1alpha1", "v2", 1), "p:1: apiVersion is not holdfast.dev/v1alpha1"},
		{"another kind", strings.Replace(good, "TrustPolicy", "Trust", 1), "p:2: kind is not TrustPolicy"},
		{"an unknown mode", strings.Replace(good, "mode: commit", "mode: push", 1), `p:4: spec.mode is "push"`},
		{"an empty mode", strings.Replace(good, "mode: commit", `mode: ""`, 1), `p:4: spec.mode is ""`},
		{"releases in mode commit", strings.Replace(good, "mode: commit", "mode: commit\n  releases: {pattern: v*}", 1), "p:4: spec.releases has no meaning in mode commit"},
		{"releases without a pattern", strings.Replace(good, "mode: commit", "releases: {}", 1), "p: spec.releases has no pattern"},
		{"a malformed pattern of releases", strings.Replace(good, "mode: commit", `releases: {pattern: "v["}`, 1), `p:4: spec.releases.pattern "v[" is not for names of releases`},
		{"releases that are approvals", strings.Replace(good, "mode: commit", `releases: {pattern: "approve/*"}`, 1), `p:4: spec.releases.pattern "approve/*" is not for names of releases`},
		{"releases that are heartbeats", strings.Replace(good, "mode: commit", `releases: {pattern: "*"}`, 1), `p:4: spec.releases.pattern "*" is not for names of releases`},
		{"a person without keys", strings.Replace(good, "mode: commit", `people: {ann: []}`, 1), `p: spec.people: "ann" has no name or no keys`},
		{"an empty key of a person", strings.Replace(good, "mode: commit", `people: {ann: [""]}`, 1), `p:4: an empty key of ann`},
		{"a key of two people", strings.Replace(good, "mode: commit", `people: {ann: [a@x], ben: [a@x]}`, 1), `p:4: a@x is a key of ann and of ben`},
		{"a person's name as another's key", strings.Replace(good, "mode: commit", `people: {ann: [ben], ben: [b@x]}`, 1), `p:4: ben is a key of ann and of ben`},
		{"a key of a person as a member", strings.Replace(good, "mode: commit", `people: {ann: [olga@x]}`, 1), `p:6: olga@x is a key of ann`},
		{"a fingerprint as a member", strings.Replace(good, "[olga@x]", `["SHA256:abc"]`, 1), `p:6: group owners has a fingerprint for a member`},
		{"an unknown field", good + "    treshold: 2\n", "p:17: field treshold not found in a TrustPolicy"},
		{"a field twice", good + "    groups: [ops]\n", `p:17: mapping key "groups" already defined at line 16`},
		{"more than there are", strings.Replace(good, "threshold: 1", "threshold: 4", 1), "p:14: threshold 4 of 3 people can never be met"},
		{"none of", strings.Replace(good, "threshold: 1", "threshold: 0", 1), "p:14: threshold is below 1"},
		{"a word for a number", strings.Replace(good, "threshold: 1", "threshold: two", 1), "p:14: cannot unmarshal"},
		{"an unknown group", strings.Replace(good, "groups: [owners]", "groups: [owner]", 1), `p:11: group "owner" has no members in spec.groups`},
		{"a group of nobody", strings.Replace(good, "[olga@x]", "[]", 1), `p:11: group "owners" has no members in spec.groups`},
		{"an empty member", strings.Replace(good, "[olga@x]", `[""]`, 1), "p:6: group owners has an empty member"},
		{"no rules", policyHead + "  mode: commit\n", "p: spec.rules is empty, so nobody could change anything"},
		{"no paths", strings.Replace(good, "- paths: [trust/**, agent.yaml]\n    groups", "- groups", 1), "p: spec.rules[0] needs paths and groups"},
		{"a slash in front", strings.Replace(good, "agent.yaml", "/agent.yaml", 1), `p:10: pattern "/agent.yaml": write folders as sites/**, without a slash at either end`},
		{"a folder", strings.Replace(good, "agent.yaml", "sites/", 1), `p:10: pattern "sites/": write folders as sites/**, without a slash at either end`},
		{"upwards", strings.Replace(good, "agent.yaml", "sites/../x", 1), `p:10: pattern "sites/../x" has the part ".."`},
		{"two stars in a name", strings.Replace(good, "agent.yaml", "sites/a**", 1), `p:10: pattern "sites/a**": ** must stand alone between slashes`},
		{"a malformed class", strings.Replace(good, "agent.yaml", `"sites/[a"`, 1), `p:10: pattern "sites/[a" is malformed`},
		{"an alias", strings.Replace(good, "[olga@x]", "&a [olga@x]", 1), "p:6: anchors and aliases are not allowed"},
		{"two documents", good + "---\n" + good, "p: policy has more than one document"},
		{"too large", good + strings.Repeat("#", 256<<10), "p: policy is larger than 262144 bytes"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := trust.ParsePolicy("p", []byte(tt.text))
			require.ErrorContains(t, err, tt.want)
			require.NotContains(t, err.Error(), "trust.", "names of Go types mean nothing to people")
		})
	}
}

const peopleBody = `  people:
    alice: [alice@work, "SHA256:home"]
  groups:
    owners: [alice, bob@x, carol@x]
    ops: [dave@x]
  rules:
  - {paths: [trust/**], groups: [owners], threshold: 2}
  - {paths: [both/**], groups: [owners, ops], threshold: 3}
  - {paths: ["**"], groups: [ops]}
`

func TestPolicyThresholds(t *testing.T) {
	t.Parallel()
	policy, err := trust.ParsePolicy("p", []byte(policyHead+peopleBody))
	require.NoError(t, err)
	signer := func(name, key string) trust.Signer { return trust.Signer{Name: name, Key: key} }
	work, home, bob := signer("alice@work", "1"), signer("alice@home", "SHA256:home"), signer("bob@x", "2")
	carol, dave := signer("carol@x", "3"), signer("dave@x", "4")
	recovery := trust.Signer{Name: "safe@x", Key: "5", Recovery: true}
	for _, tt := range []struct {
		name string
		by   []trust.Signer
		path string
		want error
	}{
		{"two people are two", []trust.Signer{work, bob}, "trust/x", nil},
		{"one is too few", []trust.Signer{bob}, "trust/x", trust.ErrTooFew},
		{"one person with two keys is one", []trust.Signer{work, home}, "trust/x", trust.ErrTooFew},
		{"one key under two names is one", []trust.Signer{bob, signer("carol@x", "2")}, "trust/x", trust.ErrTooFew},
		{"two keys of one name are one", []trust.Signer{bob, signer("bob@x", "9")}, "trust/x", trust.ErrTooFew},
		{"a stranger does not count", []trust.Signer{bob, signer("eve@x", "9")}, "trust/x", trust.ErrTooFew},
		{"members of several groups add up", []trust.Signer{home, bob, dave}, "both/x", nil},
		{"nobody of the group", []trust.Signer{dave}, "trust/x", trust.ErrForbiddenPath},
		{"a recovery key stands for all in trust", []trust.Signer{recovery}, "trust/x", nil},
		{"and for nobody elsewhere", []trust.Signer{recovery}, "fleet.yaml", trust.ErrForbiddenPath},
		{"also beside others", []trust.Signer{recovery, carol}, "both/x", trust.ErrTooFew},
		{"also beside others, though its name is a member's", []trust.Signer{{Name: "bob@x", Key: "5", Recovery: true}, home, carol}, "both/x", trust.ErrTooFew},
		{"a name that begins like trust", []trust.Signer{recovery}, "trusty", trust.ErrForbiddenPath},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			err := policy.Check(tt.by, []string{tt.path})
			if tt.want == nil {
				require.NoError(t, err)
				return
			}
			require.ErrorIs(t, err, tt.want)
		})
	}
	require.EqualError(t, policy.Check([]trust.Signer{bob}, []string{"trust/x"}),
		"more approvals are needed: trust/x needs 2 of owners (alice, bob@x, carol@x), and has bob@x")
	needs := policy.Needs([]trust.Signer{bob}, []string{"a", "trust/x"})
	require.Len(t, needs, 2)
	require.Equal(t, []string{"alice", "carol@x"}, needs[0].Undecided())
	require.Equal(t, 1, needs[0].Missing())
	require.Equal(t, []string{"dave@x"}, needs[1].Undecided())
}

func TestPolicyReleases(t *testing.T) {
	t.Parallel()
	policy, err := trust.ParsePolicy("p", []byte(policyHead+peopleBody))
	require.NoError(t, err)
	require.True(t, policy.Releases(), "the default")
	require.True(t, policy.IsRelease("v1.2"))
	require.False(t, policy.IsRelease("v1/2"))
	require.False(t, policy.IsRelease("approve/v1"))
	policy, err = trust.ParsePolicy("p", []byte(policyHead+"  mode: releases\n  releases: {pattern: fleet-*}\n"+peopleBody))
	require.NoError(t, err)
	require.True(t, policy.IsRelease("fleet-7"))
	require.False(t, policy.IsRelease("v1"))
	policy, err = trust.ParsePolicy("p", []byte(policyHead+policyBody))
	require.NoError(t, err)
	require.False(t, policy.Releases())
	require.False(t, policy.IsRelease("v1"))
}

func TestPolicySatisfiable(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 6, 15, 12, 0, 0, 0, time.UTC)
	two := strings.Replace(policyBody, "groups: [platform]\n", "groups: [platform]\n    threshold: 2\n", 1)
	line := func(name, options string) string {
		return gitsourcetest.NewSSHKey(t, name, "ed25519").AllowedSigner(options)
	}
	olga, alice, bob := line("olga@x", ""), line("alice@x", ""), line("bob@x", "")
	for _, tt := range []struct{ name, policy, keys, want string }{
		{"everybody has a key", two, olga + alice + bob, ""},
		{"one of a group is enough", policyBody, olga + alice, ""},
		{"nobody of a group", policyBody, alice + bob, "no member of owners has a key that is good: nobody could change trust/**, agent.yaml again"},
		{"one of two", two, olga + alice, "2 of platform are needed, only 1 have a key that is good"},
		{"two names of one key", two, olga + alice + strings.Replace(alice, "alice@x", "bob@x", 1), "only 1 have a key"},
		{"an expired key", two, olga + alice + line("bob@x", `valid-before="20260615115959Z"`), "only 1 have a key"},
		{"a key that is not yet valid", two, olga + alice + line("bob@x", `valid-after="20270101"`), ""},
		{"a key for something else", two, olga + alice + line("bob@x", `namespaces="file"`), "only 1 have a key"},
		{"a weak key", two, olga + alice + gitsourcetest.NewSSHKey(t, "bob@x", "rsa-1024").Public(), "only 1 have a key"},
		{"nobody may change the policy", strings.Replace(policyBody, "trust/**, ", "", 1), olga + alice + bob, "no rule matches trust/policy.yaml"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			policy, err := trust.ParsePolicy("p", []byte(policyHead+tt.policy))
			require.NoError(t, err)
			err = policy.Satisfiable(keyring(t, map[string]string{"f": tt.keys}), now)
			if tt.want == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, tt.want)
		})
	}
}

func TestOpenPGPKeysThatDoNotSatisfy(t *testing.T) {
	t.Parallel()
	created := time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)
	key := gitsourcetest.NewOpenPGPKey(t, gitsourcetest.OpenPGP{Email: "a@x", Algorithm: "ed25519", Created: created, Lifetime: 48 * time.Hour})
	good := keyring(t, map[string]string{"a.asc": key.Public()})
	require.NoError(t, trust.EveryKey(good).Satisfiable(good, created.Add(-time.Hour)))
	require.NoError(t, trust.EveryKey(good).Satisfiable(good, created.Add(time.Hour)))
	require.Error(t, trust.EveryKey(good).Satisfiable(good, created.Add(72*time.Hour)), "expired")
	key.Revoke()
	revoked := keyring(t, map[string]string{"a.asc": key.Public()})
	require.Error(t, trust.EveryKey(revoked).Satisfiable(revoked, created.Add(time.Hour)), "revoked")
}

func FuzzPolicy(f *testing.F) {
	f.Fuzz(func(t *testing.T, data []byte) {
		if policy, err := trust.ParsePolicy("p", data); err == nil {
			if policy.Check([]trust.Signer{{}}, []string{"fleet.yaml"}) == nil {
				t.Fatal("somebody without a name may change a file")
			}
		}
	})
}
