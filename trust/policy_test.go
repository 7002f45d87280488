package trust_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

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
		{"nothing is changed", "nobody@x", nil, ""},
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
			err := policy.Check(trust.Signer{Name: tt.signer}, tt.paths)
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
		{"releases", strings.Replace(good, "mode: commit", "mode: releases", 1), "p:4: mode releases is not supported by this version"},
		{"no mode", strings.Replace(good, "  mode: commit\n", "", 1), `p: spec.mode is ""`},
		{"an unknown field", good + "    treshold: 2\n", "p:17: field treshold not found in a TrustPolicy"},
		{"a field twice", good + "    groups: [ops]\n", `p:17: mapping key "groups" already defined at line 16`},
		{"two of", strings.Replace(good, "threshold: 1", "threshold: 2", 1), "p:14: threshold 2 is not supported by this version"},
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

func TestPolicySatisfiable(t *testing.T) {
	t.Parallel()
	policy, err := trust.ParsePolicy("p", []byte(policyHead+policyBody))
	require.NoError(t, err)
	all := keyring(t, map[string]string{"f": "olga@x " + key + "\nbob@x " + key})
	require.NoError(t, policy.Satisfiable(all))
	require.ErrorContains(t, policy.Satisfiable(keyring(t, map[string]string{"f": "bob@x " + key})), "no member of owners has a key")
}

func FuzzPolicy(f *testing.F) {
	f.Fuzz(func(t *testing.T, data []byte) {
		if policy, err := trust.ParsePolicy("p", data); err == nil {
			if policy.Check(trust.Signer{}, []string{"fleet.yaml"}) == nil {
				t.Fatal("somebody without a name may change a file")
			}
		}
	})
}
