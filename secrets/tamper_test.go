package secrets_test

import (
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-fleet/holdfast/secrets"
)

// flip changes one bit of the data of the n-th encrypted value.
func flip(t *testing.T, data []byte, field string, n int) []byte {
	t.Helper()
	text := string(data)
	at := -1
	for range n + 1 {
		next := strings.Index(text[at+1:], field)
		require.GreaterOrEqual(t, next, 0)
		at += 1 + next
	}
	start := at + len(field)
	end := start + strings.IndexAny(text[start:], ",]")
	raw, err := base64.StdEncoding.DecodeString(text[start:end])
	require.NoError(t, err)
	raw[0] ^= 1
	return []byte(text[:start] + base64.StdEncoding.EncodeToString(raw) + text[end:])
}

func TestWhatWasChangedDoesNotOpen(t *testing.T) {
	t.Parallel()
	id, recipient := person(t)
	rule := secrets.Rule{Recipients: []string{recipient}}
	data := encrypt(t, "s.yaml", "a: hunter1\nb: hunter2\nlist:\n    - hunter3\n    - hunter4\nc_unencrypted: public\n", rule)
	sealed := strings.Split(string(data), "\n")
	swap := func(i, j int, from func(string) string) []byte {
		l := append([]string(nil), sealed...)
		a, b := from(l[i]), from(l[j])
		l[i], l[j] = strings.Replace(l[i], a, b, 1), strings.Replace(l[j], b, a, 1)
		return []byte(strings.Join(l, "\n"))
	}
	enc := func(s string) string {
		_, sealed, _ := strings.Cut(s, "ENC[")
		return "ENC[" + sealed
	}
	for name, tt := range map[string][]byte{
		"a ciphertext":                   flip(t, data, "data:", 0),
		"a nonce":                        flip(t, data, "iv:", 1),
		"a tag":                          flip(t, data, "tag:", 2),
		"the MAC":                        flip(t, data, "data:", 4),
		"a value moved to another key":   swap(0, 1, enc),
		"the order of a list":            swap(3, 4, enc),
		"a value that is not encrypted":  []byte(strings.Replace(string(data), "public", "publik", 1)),
		"a value that is left out":       []byte(strings.Join(sealed[1:], "\n")),
		"a value in plain text":          []byte(strings.Replace(string(data), enc(sealed[0]), "hunter9", 1)),
		"a value that is emptied":        []byte(strings.Replace(string(data), enc(sealed[0]), `""`, 1)),
		"a number in place of a value":   []byte(strings.Replace(string(data), enc(sealed[0]), "7", 1)),
		"an unencrypted value that came": []byte("d_unencrypted: more\n" + string(data)),
		"the type of a value":            []byte(strings.Replace(string(data), "type:str", "type:int", 1)),
		"the type, to a comment":         []byte(strings.Replace(string(data), "type:str", "type:comment", 1)),
		"the time":                       []byte(strings.Replace(string(data), noon.Format(time.RFC3339), noon.Add(time.Second).Format(time.RFC3339), 1)),
		"which values are encrypted":     []byte(strings.Replace(string(data), "unencrypted_suffix: _unencrypted", "unencrypted_regex: ^a$", 1)),
		"what the MAC is made of":        []byte(strings.Replace(string(data), "    version:", "    mac_only_encrypted: true\n    version:", 1)),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.NotEqual(t, string(data), string(tt))
			doc, err := secrets.Parse("s.yaml", tt)
			require.NoError(t, err)
			plain, err := doc.Open(id)
			require.ErrorIs(t, err, secrets.ErrMAC)
			require.Nil(t, plain)
			require.ErrorContains(t, err, "open s.yaml: ")
			require.NotContains(t, err.Error(), "hunter")
		})
	}
}
