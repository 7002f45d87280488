package secrets_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-fleet/holdfast/secrets"
)

const oneKey = "sops:\n    age:\n        - recipient: age1x\n          enc: x\n    lastmodified: \"2026-11-24T12:00:00Z\"\n    mac: x\n"

func TestWhatIsWrongWithADocumentIsSaid(t *testing.T) {
	t.Parallel()
	deep := strings.Repeat("{a: ", 70) + "hunter2" + strings.Repeat("}", 70)
	bomb := "a: &a [x, x, x, x, x, x, x, x, x, x]\n"
	for i := 'b'; i < 'i'; i++ {
		bomb += fmt.Sprintf("%c: &%c [*%[3]c, *%[3]c, *%[3]c, *%[3]c, *%[3]c, *%[3]c, *%[3]c, *%[3]c]\n", i, i, i-1)
	}
	for _, tt := range []struct{ name, file, data, want string }{
		{"no metadata", "s.yaml", "a: hunter2\n", "s.yaml: not a SOPS document: it has no sops metadata"},
		{"broken YAML", "s.yaml", "a: b\nc: \"hunter2\n", "s.yaml:"},
		{"a list", "s.yaml", "- hunter2\n", "s.yaml:1: a SOPS document must be a mapping"},
		{"a key twice", "s.yaml", "a: 1\na: 2\n", "s.yaml:2: the key a is there twice"},
		{"a key that is a number", "s.yaml", "1: 1\n", "s.yaml:1: a key that is not text"},
		{"a number too large", "s.yaml", "a: 18446744073709551615\n", "s.yaml:1: a value of a type that SOPS does not have"},
		{"YAML too deep", "s.yaml", deep, "nested deeper than 64"},
		{"aliases that multiply", "s.yaml", bomb, "more than 100000 values once aliases are followed"},
		{"an alias of itself", "s.yaml", "a: &a [*a]\n", "nested deeper than 64"},
		{"broken JSON", "s.json", "{\"a\":\n \"hunter2\n", "s.json:2: not JSON"},
		{"JSON that is a list", "s.json", "[\"hunter2\"]", "s.json:1: a SOPS document must be an object"},
		{"JSON too deep", "s.json", strings.Repeat(`{"a":`, 70), "nested deeper than 64"},
		{"two JSON values", "s.json", "{} {}", "s.json:1: more than one JSON value"},
		{"a JSON key twice", "s.json", "{\"a\": 1,\n\"a\": 2}", "s.json:2: the key a is there twice"},
		{"a line of nothing", "s.env", "A=b\nhunter2\n", "s.env:2: not of the form KEY=value"},
		{"a line twice", "s.env", "A=b\nA=c\n", "s.env:2: the key A is there twice"},
		{"INI", "s.ini", "[a]\nb=c\n", "s.ini: INI documents are not supported"},
		{"too large", "s.yaml", strings.Repeat("#", secrets.MaxSize+1), "s.yaml: larger than 4096 KiB"},
		{"no MAC", "s.yaml", strings.Replace(oneKey, "mac: x", "", 1), "the sops metadata has no mac"},
		{"no time", "s.yaml", strings.Replace(oneKey, "2026-11-24T", "yesterday", 1), "lastmodified of the sops metadata is not a time"},
		{"two rules", "s.yaml", oneKey + "    encrypted_regex: a\n    encrypted_suffix: b\n", "only one of encrypted_regex, encrypted_suffix may be set"},
		{"no regular expression", "s.yaml", oneKey + "    encrypted_regex: (a\n", "encrypted_regex: not a regular expression"},
		{"nobody", "s.yaml", strings.Replace(oneKey, "age:", "no:", 1), "s.yaml: encrypted to nobody"},
		{"PGP alone", "s.yaml", strings.Replace(oneKey, "age:", "pgp:", 1), "s.yaml: encrypted to PGP only, and hosts have age keys"},
		{"KMS and Vault", "s.yaml", strings.Replace(oneKey, "age:", "kms: [a]\n    hc_vault: [b]\n    no:", 1), "encrypted to AWS KMS, HashiCorp Vault only"},
		{"half an entry", "s.yaml", strings.Replace(oneKey, "enc: x", "", 1), "entry 1 of age in the sops metadata lacks recipient or enc"},
		{"age that is text", "s.yaml", "sops:\n    age: x\n    mac: x\n    lastmodified: \"2026-11-24T12:00:00Z\"\n", "age of the sops metadata must be a list"},
		{"a mapping for text", "s.yaml", oneKey + "    version: {}\n", "version of the sops metadata must be text"},
		{"key groups", "testdata/groups.yaml", "", "encrypted to 2 key groups, of which several are needed"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			data := []byte(tt.data)
			if tt.data == "" {
				data = read(t, tt.file)
			}
			_, err := secrets.Parse(tt.file, data)
			require.ErrorContains(t, err, tt.want)
			require.NotContains(t, err.Error(), "hunter")
			var p *secrets.Problem
			require.ErrorAs(t, err, &p)
			require.NotEmpty(t, p.Hint())
			require.NotContains(t, p.Hint(), "hunter")
		})
	}
}

func TestWhatCannotBeEncryptedIsSaid(t *testing.T) {
	t.Parallel()
	_, recipient := person(t)
	to := func(keys ...string) secrets.Rule { return secrets.Rule{Recipients: keys} }
	for _, tt := range []struct {
		name, file, data, want string
		rule                   secrets.Rule
	}{
		{"no recipients", "s.yaml", "a: b\n", "encrypt s.yaml: there are no recipients", to()},
		{"an unknown recipient", "s.yaml", "a: b\n", `"age1bad" is not a recipient of age`, to("age1bad")},
		{"a plugin's recipient", "s.yaml", "a: b\n", "is of a plugin of age, which is not supported", to("age1yubikey1qwt50d05nh5vutpdzmlg5wn80xq5negm4uj9ghv0snvdd3yysf5yw3rhl3t")},
		{"nothing to encrypt", "s.yaml", "a_unencrypted: b\n", "s.yaml: nothing in it would be encrypted", to(recipient)},
		{"an empty file", "s.yaml", "", "s.yaml: nothing in it would be encrypted", to(recipient)},
		{"encrypted already", "s.yaml", "a: b\n" + oneKey, "s.yaml:2: the key sops is reserved", to(recipient)},
		{"encrypted already, as .env", "s.env", "A=b\nsops_mac=c\n", "s.env:2: the key sops_mac is reserved", to(recipient)},
		{"broken", "s.yaml", "a: [hunter2\n", "not YAML", to(recipient)},
		{"two rules", "s.yaml", "a: b\n", "only one of", secrets.Rule{
			Recipients: []string{recipient}, Selection: secrets.Selection{EncryptedRegex: "a", EncryptedSuffix: "a"}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := secrets.Encrypt(tt.file, []byte(tt.data), tt.rule, noon)
			require.ErrorContains(t, err, tt.want)
			require.NotContains(t, err.Error(), "hunter")
		})
	}
}

func TestBrokenIdentitiesAreNotQuoted(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, data, want string }{
		{"nothing", "# empty\n", "keys: holds no identity of age and no key of SSH"},
		{"half a key", "\nAGE-SECRET-KEY-1HUNTER\n", "keys:2: not an identity of age"},
		{"half a key of the other kind", "AGE-SECRET-KEY-PQ-1HUNTER\n", "keys:1: not an identity of age"},
		{"a plugin", "AGE-PLUGIN-YUBIKEY-1HUNTER\n", "keys:1: an identity of a plugin of age, which is not supported"},
		{"half a key of SSH", "-----BEGIN OPENSSH PRIVATE KEY-----\nHUNTER\n-----END OPENSSH PRIVATE KEY-----\n", "keys: not a private key of SSH"},
		{"too large", strings.Repeat("HUNTER", 20_000), "keys: larger than 64 KiB"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := secrets.ParseIdentities("keys", []byte(tt.data))
			require.ErrorContains(t, err, tt.want)
			require.NotContains(t, strings.ToLower(err.Error()), "hunter")
		})
	}
}

func TestADocumentAlsoForOthersIsNotRotated(t *testing.T) {
	t.Parallel()
	id, recipient := person(t)
	data := encrypt(t, "s.yaml", "a: b\n", secrets.Rule{Recipients: []string{recipient}})
	data = []byte(strings.Replace(string(data), "sops:\n", "sops:\n    pgp:\n        - fp: AAAA\n          enc: x\n", 1))
	plain := open(t, "s.yaml", data, id)
	_, err := plain.Rotate(secrets.Rule{Recipients: []string{recipient}}, noon)
	require.ErrorContains(t, err, "s.yaml: also encrypted to PGP")
	edited, err := plain.Edit([]byte("a: c\n"), nil, noon)
	require.NoError(t, err)
	require.Contains(t, string(edited), "fp: AAAA", "an edit leaves the keys of others")
}

func TestRules(t *testing.T) {
	t.Parallel()
	_, a := person(t)
	_, b := person(t)
	rules, err := secrets.ParseRules(".sops.yaml", fmt.Appendf(nil, `
keys: [&a %s]
creation_rules:
  - path_regex: ^sites/x/
    age: [*a, "%s, %[1]s"]
    encrypted_regex: ^data$
  - {path_regex: pgp, pgp: AAAA, age: *a}
  - {path_regex: shamir, key_groups: [{age: [*a]}, {age: [*a]}]}
  - {path_regex: nobody}
  - {path_regex: yaml$, age: *a}
stores: {yaml: {indent: 2}}
`, a, b))
	require.NoError(t, err)
	rule, err := rules.For("sites/x/s.yaml")
	require.NoError(t, err)
	require.Equal(t, secrets.Rule{Recipients: []string{a, b}, Selection: secrets.Selection{EncryptedRegex: "^data$"},
		Indent: map[secrets.Format]int{secrets.YAML: 2}}, rule)
	rule, err = rules.For("s.yaml")
	require.NoError(t, err)
	require.Equal(t, []string{a}, rule.Recipients)
	for name, want := range map[string]string{
		"s.json":   ".sops.yaml: no rule for s.json",
		"pgp.env":  ".sops.yaml:7: the rule for pgp.env asks for PGP, which only sops can encrypt to",
		"shamir.x": ".sops.yaml:8: the rule for shamir.x has 2 key groups",
		"nobody":   ".sops.yaml:9: the rule for nobody has no recipients",
	} {
		_, err := rules.For(name)
		require.ErrorContains(t, err, want)
	}
}

func TestWhatIsWrongWithRulesIsSaid(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, data, want string }{
		{"nothing", "", ".sops.yaml: it has no creation_rules"},
		{"a misspelt beginning", "creation_rule: []\n", ".sops.yaml: it has no creation_rules"},
		{"no mapping", "- a\n", ".sops.yaml:1: .sops.yaml must be a mapping"},
		{"no list", "creation_rules: {}\n", ".sops.yaml:1: creation_rules must be a list"},
		{"an unknown field", "creation_rules:\n  - path_regexp: a\n", ".sops.yaml:2: unknown field path_regexp of a rule"},
		{"a field twice", "creation_rules:\n  - age: []\n    age: []\n", ".sops.yaml:3: age is there twice"},
		{"a broken expression", "creation_rules:\n  - path_regex: (a\n", ".sops.yaml:2: path_regex: not a regular expression"},
		{"a broken recipient", "creation_rules:\n  - age:\n      - age1bad\n", `.sops.yaml:3: "age1bad" is not a recipient of age`},
		{"two selections", "creation_rules:\n  - {encrypted_regex: a, unencrypted_regex: b}\n", ".sops.yaml:2: only one of encrypted_regex, unencrypted_regex may be set"},
		{"no boolean", "creation_rules:\n  - mac_only_encrypted: perhaps\n", ".sops.yaml:2: mac_only_encrypted must be true or false"},
		{"a strange indent", "creation_rules: []\nstores:\n  yaml: {indent: 99}\n", ".sops.yaml:3: indent must be a number up to 16"},
		{"broken YAML", "creation_rules: [\n", "not YAML"},
		{"an alias of itself", "creation_rules: &a [{key_groups: &b [{merge: *b}]}]\n", "merge is nested too deep"},
		{"too large", strings.Repeat("#", 5<<20), ".sops.yaml: larger than 4096 KiB"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := secrets.ParseRules(".sops.yaml", []byte(tt.data))
			require.ErrorContains(t, err, tt.want)
		})
	}
}
