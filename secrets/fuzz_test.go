package secrets_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-fleet/holdfast/secrets"
)

// fuzzDocuments parses any bytes as documents of one format, opens what parses,
// and encrypts what can be: that must open again, to the same.
func fuzzDocuments(f *testing.F, ext string) {
	seeds, err := filepath.Glob("testdata/golden/*" + ext + "*")
	require.NoError(f, err)
	require.NotEmpty(f, seeds)
	for _, seed := range append(seeds, "testdata/plain"+ext) {
		f.Add(read(f, seed))
	}
	ids := identities(f, "testdata/age.txt")
	_, recipient, _ := strings.Cut(string(read(f, "testdata/age.txt")), "public key: ")
	recipient, _, _ = strings.Cut(recipient, "\n")
	rule := secrets.Rule{Recipients: []string{recipient}}
	f.Fuzz(func(t *testing.T, data []byte) {
		file := "fuzz" + ext
		if doc, err := secrets.Parse(file, data); err == nil {
			require.True(t, secrets.Detect(file, data) || !strings.Contains(string(data), "lastmodified"))
			if plain, err := doc.Open(ids...); err == nil {
				_, _ = plain.Bytes()
				_ = plain.Values()
			}
		}
		sealed, err := secrets.Encrypt(file, data, rule, noon)
		if err != nil {
			return
		}
		plain := open(t, file, sealed, ids[0])
		text, err := plain.Bytes()
		require.NoError(t, err)
		again, err := plain.Edit(text, nil, noon)
		if err != nil {
			return // comments may move into empty lists and back
		}
		require.Equal(t, plain.Values(), open(t, file, again, ids[0]).Values())
	})
}

func FuzzYAML(f *testing.F)   { fuzzDocuments(f, ".yaml") }
func FuzzJSON(f *testing.F)   { fuzzDocuments(f, ".json") }
func FuzzDotenv(f *testing.F) { fuzzDocuments(f, ".env") }
func FuzzBinary(f *testing.F) { fuzzDocuments(f, ".bin") }

func FuzzRules(f *testing.F) {
	seeds, err := filepath.Glob("testdata/rules/*.yaml")
	require.NoError(f, err)
	require.NotEmpty(f, seeds)
	for _, seed := range seeds {
		data, err := os.ReadFile(seed)
		require.NoError(f, err)
		f.Add(data)
	}
	f.Fuzz(func(_ *testing.T, data []byte) {
		if rules, err := secrets.ParseRules(".sops.yaml", data); err == nil {
			_, _ = rules.For("sites/a/secret.yaml")
		}
	})
}
