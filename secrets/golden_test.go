package secrets_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-fleet/holdfast/secrets"
)

func read(t testing.TB, file string) []byte {
	t.Helper()
	data, err := os.ReadFile(file)
	require.NoError(t, err)
	return data
}

func identities(t testing.TB, file string) []secrets.Identity {
	t.Helper()
	ids, err := secrets.ParseIdentities(file, read(t, file))
	require.NoError(t, err)
	return ids
}

// TestDocumentsOfSopsOpen reads what the program sops wrote; see conformance/.
func TestDocumentsOfSopsOpen(t *testing.T) {
	t.Parallel()
	plains, err := filepath.Glob("testdata/golden/*.plain")
	require.NoError(t, err)
	require.Len(t, plains, 21)
	for _, want := range plains {
		file := strings.TrimSuffix(want, ".plain")
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			data := read(t, file)
			require.True(t, secrets.Detect(file, data))
			require.False(t, secrets.Detect(file, read(t, want)))
			doc, err := secrets.Parse(file, data)
			require.NoError(t, err)
			require.Len(t, doc.Recipients(), 2)
			for _, keys := range []string{"testdata/age.txt", "testdata/host_key"} {
				plain, err := doc.Open(identities(t, keys)...)
				require.NoError(t, err)
				require.Equal(t, string(read(t, want)), content(t, plain))
				again, err := plain.Edit([]byte(content(t, plain)), nil, noon)
				require.NoError(t, err)
				require.Equal(t, lines(data), lines(again), "ciphertext that need not change")
			}
		})
	}
}
