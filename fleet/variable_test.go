package fleet_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-fleet/holdfast/fleet"
)

// declaring is the small fleet whose profile declares one more variable, X, and
// whose site gives it a value.
func declaring(declaration, value string) map[string]string {
	edits := map[string]string{"profiles/shop/profile.yaml": small()["profiles/shop/profile.yaml"] + "    - {name: X, " + declaration + "}\n"}
	if value != "" {
		edits[s1] = head + "Site\nspec:\n  profile: shop\n  variables:\n    STORE_ID: \"042\"\n    X: " + value + "\n"
	}
	return edits
}

func TestVariablesHaveTheTypesThatTheyAreDeclaredOf(t *testing.T) {
	t.Parallel()
	const at = s1 + ":7: variable X: "
	for _, tt := range []struct {
		name, declaration, value string
		want                     any
		wrong                    string
	}{
		{"an enum", "type: enum, values: [red, blue]", "blue", "blue", ""},
		{"none of an enum", "type: enum, values: [red, blue]", "green", nil, `"green" is none of red, blue`},
		{"an enum's default", "type: enum, values: [red, blue], default: red", "", "red", ""},
		{"a network", "type: cidr", "10.1.0.0/16", "10.1.0.0/16", ""},
		{"a network of IPv6", "type: cidr", "\"fd00:1::/64\"", "fd00:1::/64", ""},
		{"an address for a network", "type: cidr", "10.1.0.1/16", nil, `"10.1.0.1/16" is not a network; 10.1.0.0/16 is`},
		{"a network in long form", "type: cidr", "\"fd00:0::/64\"", nil, `"fd00:0::/64" is not a network; fd00::/64 is`},
		{"no network", "type: cidr", "10.1", nil, "must be of type cidr, not a number"},
		{"an address", "type: address", "10.1.0.1", "10.1.0.1", ""},
		{"an address of IPv6", "type: address", "\"fd00::1\"", "fd00::1", ""},
		{"an address in long form", "type: address", "\"fd00:0::1\"", nil, `"fd00:0::1" is not how an address is written here; fd00::1 is`},
		{"an address with leading zeros", "type: address", "10.1.0.01", nil, `"10.1.0.01" is not an address`},
		{"an address on a link", "type: address", "\"fe80::1%eth0\"", nil, `"fe80::1%eth0" is not an address`},
		{"a name for an address", "type: address", "ntp.example.com", nil, `"ntp.example.com" is not an address`},
		{"what matches", "type: string, pattern: \"[0-9]{3}\"", "\"042\"", "042", ""},
		{"what matches in part", "type: string, pattern: \"[0-9]{3}\"", "\"0421\"", nil, `"0421" does not match [0-9]{3}`},
		{"one way of a pattern in part", "type: string, pattern: \"a|b\"", "ax", nil, `"ax" does not match a|b`},
		{"a line after what matches", "type: string, pattern: \"a\"", "\"a\\n\"", nil, `"a\n" does not match a`},
		{"a list", "type: string", "[a]", nil, "must be of type string, not a list"},
		{"nothing", "type: string", "~", nil, "must be of type string, not nothing"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f, err := fleet.Load(edited(declaring(tt.declaration, tt.value)))
			if tt.wrong != "" {
				require.Equal(t, []string{at + tt.wrong}, messages(err))
				require.Contains(t, fleet.Problems(err)[0].Tip, "in profiles/shop/profile.yaml:21", "where it is declared")
				return
			}
			require.NoError(t, err)
			require.Equal(t, tt.want, f.Sites[0].Variables["X"])
		})
	}
}

func TestDeclarationsSayWhatIsWrong(t *testing.T) {
	t.Parallel()
	const at = "profiles/shop/profile.yaml:21: "
	for declaration, want := range map[string]string{
		"type: enum":                                      "variable X is an enum without values",
		"type: enum, values: [a, a]":                      "a is in values twice",
		"type: enum, values: [1]":                         "one of values must be a string, not a number",
		"type: enum, values: [a], default: b":             "variable X: \"b\" is none of a",
		"type: string, values: [a]":                       "variable X has values, but is of type string",
		"type: integer, pattern: \"1\"":                   "variable X has a pattern, but is of type integer",
		"type: string, pattern: \"(\"":                    "pattern: missing closing ): `(`",
		"type: string, pattern: \"a)|(b\"":                "pattern: unexpected ): `a)|(b`",
		"type: string, pattern: \"(a{1000}){1000}\"":      "pattern: invalid repeat count: `{1000}`",
		"type: string, pattern: a, default: b":            "variable X: \"b\" does not match a",
		"type: address, default: here":                    "variable X: \"here\" is not an address",
		"type: cidr, required: true, default: 10.0.0.0/8": "variable X is required, so its default is never used",
		"type: boolean, default: \"yes\"":                 "variable X: must be of type boolean, not text",
		"type: string, description: {}":                   "description must be a string, not a mapping",
		"type: network":                                   "unknown type network",
		"type: string, required: maybe":                   "required must be of type boolean, not text",
		"type: string, default: [a]":                      "variable X: must be of type string, not a list",
		"type: string, name: Y":                           "field name is given twice in a variable",
	} {
		t.Run(declaration, func(t *testing.T) {
			t.Parallel()
			_, err := fleet.Load(edited(declaring(declaration, "")))
			require.Contains(t, messages(err), at+want)
		})
	}
}

func TestTheFleetSaysWhichAgentRuns(t *testing.T) {
	t.Parallel()
	digest := "sha256:" + strings.Repeat("0a", 32)
	f, err := fleet.Load(edited(map[string]string{"agent.yaml": head + "Agent\nspec:\n  version: v1.2.3\n  digests: {amd64: \"" + digest + "\"}\n"}))
	require.NoError(t, err)
	require.Equal(t, &fleet.Agent{Version: "v1.2.3", Digests: map[string]string{"amd64": digest}}, f.Agent)
	for text, want := range map[string]string{
		"spec: {version: v1, digests: {amd64: \"" + digest + "\"}}": "agent.yaml:3: \"v1\" is not a version of the agent",
		"spec: {version: v1.2.3, digests: {}}":                      "agent.yaml:3: digests is empty",
		"spec: {version: v1.2.3, digests: {amd64: \"sha256:1\"}}":   "agent.yaml:3: the digest for amd64 is not sha256:<64 hex digits>",
		"spec: {version: v1.2.3}":                                   "agent.yaml:3: spec lacks the field digests",
	} {
		_, err := fleet.Load(edited(map[string]string{"agent.yaml": head + "Agent\n" + text + "\n"}))
		require.Equal(t, []string{want}, messages(err))
	}
}
