package gitsource_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-fleet/holdfast/gitsource/gitsourcetest"
	"github.com/holdfast-fleet/holdfast/trust"
)

// edit puts a header into the commit HEAD, behind its committer, and moves main there.
func (f *fleet) edit(t *testing.T, header string) string {
	t.Helper()
	raw := f.Git("cat-file", "commit", "HEAD") + "\n"
	file := filepath.Join(t.TempDir(), "commit")
	require.NoError(t, os.WriteFile(file, []byte(strings.Replace(raw, "\ngpgsig ", "\n"+header+"gpgsig ", 1)), 0o600))
	edited := f.Git("hash-object", "-w", "--literally", "-t", "commit", file)
	f.Git("update-ref", "refs/heads/main", edited)
	return edited
}

func TestOddCommits(t *testing.T) {
	t.Parallel()
	other := "AAAA\n -----END SSH SIGNATURE-----\n"
	for _, tt := range []struct{ name, header, want string }{
		{"a signature for SHA-256 repositories is no part of what is signed", "gpgsig-sha256 -----BEGIN SSH SIGNATURE-----\n " + other, ""},
		{"two signatures", "gpgsig -----BEGIN SSH SIGNATURE-----\n " + other, "commit with two signatures"},
		{"a header that was not signed", "encoding latin-1\n", trust.ErrBadSignature.Error()},
		{"a second tree", "tree 4b825dc642cb6eb9a060e54bf8d69288fbee4904\n", "out of order"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := newFleet(t)
			r := open(t, f.options(t))
			good := poll(t, r).Commit()
			f.commit(map[string]string{"a": "1"})
			edited := f.edit(t, tt.header)
			rev, err := fetchAndVerify(r)
			if tt.want == "" {
				require.NoError(t, err)
				require.Equal(t, edited, rev.Commit())
				return
			}
			require.ErrorContains(t, err, tt.want)
			rev, _, err = r.Floor()
			require.NoError(t, err)
			require.Equal(t, good, rev.Commit())
		})
	}
}

func TestReplaceRefsReplaceNothing(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	signed := f.commit(map[string]string{"a": "signed"})
	evil := f.Commit(gitsourcetest.Commit{Files: map[string]string{"a": "evil"}})
	f.Git("reset", "-q", "--hard", signed)
	f.Git("replace", signed, evil)
	rev := poll(t, open(t, f.options(t)))
	require.Equal(t, signed, rev.Commit())
	data, err := fs.ReadFile(rev.FS(), "a")
	require.NoError(t, err)
	require.Equal(t, "signed", string(data))
}
